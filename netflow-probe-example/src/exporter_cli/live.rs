//! Running on interfaces.

use core::{
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};
use std::{sync::Arc, thread};

use netflow_codec::ExportVersion;
use tracing::{info, warn};

use super::{Arguments, Failure, Refusals, capture::Way, follow, service::Updates, tell_unchanged};
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
        updates: &Updates,
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
        config.interfaces = announced_interfaces(&config.interfaces, &self.capture.interface);
        let mut exporters = self.exporters(config, sources, attributes)?;
        let service = self.serve(exporters.len(), reload)?;
        let count = u32::try_from(exporters.len()).unwrap_or(u32::MAX);
        for name in &self.capture.interface {
            let index = interface_index(name).unwrap_or(0);
            info!("capturing from {name} (index {index})");
        }
        service.ready(format_args!("capturing from {}", self.capture.interface.join(", ")));
        let results: Vec<Result<ExporterAccount, Failure>> = thread::scope(|scope| {
            let run = Run {
                arguments: self,
                service: &service,
                renumbered: &renumbered,
                updates,
                exporters: count,
            };
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
        for (number, source) in sources.into_iter().enumerate() {
            let meter = Meter::of_thread(&config.meter, number);
            workers.push((meter.map_err(|error| self.explain(&SendError::Meter(error)))?, source));
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
        config.send.rate_limit = share(config.send.rate_limit, domains);
        let mut exporters = Vec::with_capacity(workers.len());
        for (number, worker) in (0..).zip(workers) {
            let mut of_thread = config.clone();
            of_thread.source_id += number;
            let mut exporter = self.exporter(of_thread, vec![worker], attributes.clone())?;
            exporter.source_mut().number_from(number as usize);
            exporters.push(exporter);
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

/// The interfaces to announce: those given, or else those captured from, as they are now.
fn announced_interfaces(given: &[Interface], captured: &[String]) -> Vec<Interface> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let all = captured.iter().any(|name| name == "any");
    let known = interfaces().unwrap_or_default().into_iter();
    known
        .filter(|interface| all || captured.contains(&interface.name))
        .map(|capture::Interface { index, name, description }| Interface { index, name, description })
        .collect()
}

/// What all exporters look at while they run.
#[derive(Clone, Copy)]
struct Run<'a> {
    arguments: &'a Arguments,
    service: &'a Service<ExporterAccount>,
    /// How often an interface has come back.
    renumbered: &'a AtomicUsize,
    updates: &'a Updates,
    /// How many of them there are.
    exporters: u32,
}

/// What each of several exporters may send of so many datagrams a second; 0 is no limit.
fn share(rate: u32, exporters: u32) -> u32 {
    if rate == 0 { 0 } else { (rate / exporters.max(1)).max(1) }
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
        let mut seen = 0;
        let captured = &self.arguments.capture.interface;
        let mut given = self.arguments.export.interface_name.clone();
        let watch = |exporter: &mut Exporter<MeterThreads>| {
            refusals.check(exporter);
            self.service.look(number, || exporter.account());
            let now = self.renumbered.load(Ordering::Relaxed);
            if now != renumbered {
                renumbered = now;
                announcing = exporter.set_interfaces(announced_interfaces(&given, captured));
            }
            if let Some(update) = self.updates.take(&mut seen) {
                let mut update = ExporterConfig::clone(&update);
                given.clone_from(&update.interfaces);
                update.interfaces = announced_interfaces(&given, captured);
                update.send.rate_limit = share(update.send.rate_limit, self.exporters);
                follow(exporter, &update);
                exporter.change_metering(&update.meter).unwrap_or_else(|error| tell_unchanged(&error));
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
