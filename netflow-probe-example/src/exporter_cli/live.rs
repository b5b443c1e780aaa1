//! Running on interfaces.

use core::{
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};
use std::{sync::Arc, thread};

use netflow_codec::ExportVersion;
use tracing::{info, warn};

use super::{Arguments, Failure, Refusals, capture::Way};
use crate::{
    attributes::Attributes,
    capture::{
        self, CaptureEvent, FrameSource, Tell, interface_index, interfaces,
        live::{Directions, LiveConfig, LiveError, LiveSource, open},
    },
    exporter::{Exporter, ExporterAccount, ExporterConfig},
    meter::{Meter, MeterThreads, system_clock},
    send::{Interface, SendError},
    service::{Account as _, Reload, Service},
};

impl Arguments {
    /// Meters what the interfaces carry, until a signal comes.
    pub(super) fn run_live(
        &self,
        mut config: ExporterConfig,
        attributes: Option<Attributes>,
        reload: Reload,
    ) -> Result<(), Failure> {
        // An interface that comes back may have another index.
        let renumbered = Arc::new(AtomicUsize::new(0));
        let noted = Arc::clone(&renumbered);
        let told: Tell = Arc::new(move |event| {
            if matches!(event, CaptureEvent::Back { .. }) {
                noted.fetch_add(1, Ordering::Relaxed);
                info!("{event}");
            } else {
                warn!("{event}");
            }
        });
        let sources = open(self.live_config(), &told).map_err(|error| match error {
            LiveError::Filter { .. } | LiveError::NoInterface { .. } => Failure::Usage(error.to_string()),
            _ => Failure::Run(error.to_string()),
        })?;
        let announced = self.announced_interfaces();
        config.interfaces = announced();
        let mut exporters = self.exporters(config, sources, attributes)?;
        let service = self.serve(exporters.len(), reload)?;
        for name in &self.capture.interface {
            let index = interface_index(name).unwrap_or(0);
            info!("capturing from {name} (index {index})");
        }
        service.ready(format_args!("capturing from {}", self.capture.interface.join(", ")));
        let results: Vec<Result<ExporterAccount, Failure>> = thread::scope(|scope| {
            let run = Run { service: &service, renumbered: &renumbered, interfaces: &announced };
            let numbered = exporters.iter_mut().enumerate();
            let runs: Vec<_> = numbered
                .map(|(number, exporter)| scope.spawn(move || run.to_the_end(number, exporter)))
                .collect();
            let failed = || Err(Failure::Run("an exporting thread failed".to_owned()));
            runs.into_iter().map(|run| run.join().unwrap_or_else(|_| failed())).collect()
        });
        let accounts = results.into_iter().collect::<Result<Vec<_>, _>>()?;
        if !self.service.quiet
            && let Some(account) = accounts.into_iter().reduce(|mut sum, other| {
                sum.merge(other);
                sum
            })
        {
            Service::tell(&account);
        }
        Ok(())
    }

    /// The interfaces to announce, whenever it is asked: those given, or else those captured from, as they are now.
    fn announced_interfaces(&self) -> impl Fn() -> Vec<Interface> + Sync {
        let given = self.export.interface_name.clone();
        let captured = self.capture.interface.clone();
        move || {
            if !given.is_empty() {
                return given.clone();
            }
            let all = captured.iter().any(|name| name == "any");
            let known = interfaces().unwrap_or_default().into_iter();
            known
                .filter(|interface| all || captured.contains(&interface.name))
                .map(|capture::Interface { index, name, description }| Interface { index, name, description })
                .collect()
        }
    }

    fn live_config(&self) -> LiveConfig {
        let capture = &self.capture;
        LiveConfig {
            interfaces: capture.interface.clone(),
            promiscuous: !capture.no_promiscuous,
            filter: capture.filter.clone(),
            snaplen: capture.snaplen,
            buffer_size: capture.buffer_size,
            directions: match capture.direction {
                Way::In => Directions::In,
                Way::Out => Directions::Out,
                Way::Both => Directions::Both,
            },
            threads: capture.capture_threads.into(),
        }
    }

    /// One exporter of all threads, or one of each.
    fn exporters(
        &self,
        mut config: ExporterConfig,
        sources: Vec<LiveSource>,
        attributes: Option<Attributes>,
    ) -> Result<Vec<Exporter<MeterThreads>>, Failure> {
        config.bound_active_timeout();
        let mut workers = Vec::with_capacity(sources.len());
        for (number, source) in (0_u64..).zip(sources) {
            // Tables with the same seed would be flooded by the same flows.
            let mut of_thread = config.meter.clone();
            of_thread.seed = of_thread.seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let meter = Meter::new(&of_thread).map_err(|error| self.explain(&SendError::Meter(error)))?;
            workers.push((meter, source));
        }
        if !self.capture.thread_domains {
            return Ok(vec![self.exporter(config, workers, attributes)?]);
        }
        let domains = u32::try_from(workers.len()).unwrap_or(u32::MAX);
        let last = config.source_id.checked_add(domains - 1);
        if last.is_none_or(|last| config.version == ExportVersion::V5 && last > 0xFFFF) {
            let text = format!("--source-id {}: no room for {domains} domains behind it", config.source_id);
            return Err(Failure::Usage(text));
        }
        let rate = config.send.rate_limit;
        config.send.rate_limit = if rate == 0 { 0 } else { (rate / domains).max(1) };
        let mut exporters = Vec::with_capacity(workers.len());
        for (number, worker) in (0..).zip(workers) {
            let mut of_thread = config.clone();
            of_thread.source_id += number;
            exporters.push(self.exporter(of_thread, vec![worker], attributes.clone())?);
        }
        Ok(exporters)
    }

    fn exporter<S: FrameSource + 'static>(
        &self,
        config: ExporterConfig,
        workers: Vec<(Meter, S)>,
        attributes: Option<Attributes>,
    ) -> Result<Exporter<MeterThreads>, Failure> {
        let sampler = config.meter.sampling.sequence(config.meter.seed);
        let threads = MeterThreads::start(workers, sampler, &system_clock())
            .map_err(|error| Failure::Run(format!("cannot start a thread: {error}")))?;
        let mut exporter = Exporter::with_source(config, threads).map_err(|error| self.explain(&error))?;
        if let Some(attributes) = attributes {
            exporter.set_attributes(attributes);
        }
        Ok(exporter)
    }
}

/// What all exporters look at while they run.
#[derive(Clone, Copy)]
struct Run<'a> {
    service: &'a Service<ExporterAccount>,
    /// How often an interface has come back.
    renumbered: &'a AtomicUsize,
    interfaces: &'a (dyn Fn() -> Vec<Interface> + Sync),
}

impl Run<'_> {
    /// Exports until a signal comes, and then what there still is.
    fn to_the_end(
        self,
        number: usize,
        exporter: &mut Exporter<MeterThreads>,
    ) -> Result<ExporterAccount, Failure> {
        let mut refusals = Refusals::default();
        let failed = |error: SendError| Failure::Run(error.to_string());
        let mut renumbered = 0;
        let mut announcing = Ok(());
        let watch = |exporter: &mut Exporter<MeterThreads>| {
            refusals.check(exporter);
            self.service.look(number, || exporter.account());
            let now = self.renumbered.load(Ordering::Relaxed);
            if now != renumbered {
                renumbered = now;
                announcing = exporter.set_interfaces((self.interfaces)());
            }
            let stopped = self.service.stop().is_some() || announcing.is_err();
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        exporter.run(&system_clock(), watch).map_err(failed)?;
        announcing.map_err(failed)?;
        if self.service.stop().is_none() {
            return Err(Failure::Run("a metering thread ended".to_owned()));
        }
        exporter.finish().map_err(failed)?;
        refusals.check(exporter);
        let account = exporter.account();
        self.service.conclude(number, account.clone());
        Ok(account)
    }
}
