//! The exporter's side of what leads to a collector.

use std::{
    io,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use netflow_codec::SessionConfig;

use super::{
    CollectorAddress, Content, SendConfig, Transport, WhenFull,
    queue::Queue,
    worker::{Whereabouts, Worker},
};

/// The exporter's side of a collector's queue.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) queue: Arc<Queue>,
    pub(super) whereabouts: Arc<Mutex<Whereabouts>>,
    /// The transport session that the session belongs to.
    pub(super) transport_session: u32,
    pub(super) when_full: WhenFull,
    pub(super) transport: Transport,
}

impl Link {
    pub(super) fn open(
        collector: CollectorAddress,
        config: &SessionConfig,
        send: &SendConfig,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(send.queue_octets, config.max_datagram));
        let whereabouts = Arc::default();
        let transport = collector.transport();
        let name = format!("to {collector}");
        let worker = Worker::new(Arc::clone(&queue), Arc::clone(&whereabouts), collector, send.clone());
        thread::Builder::new().name(name).spawn(move || worker.run())?;
        Ok(Self { queue, whereabouts, transport_session: 0, when_full: send.when_full, transport })
    }

    pub(super) fn push(&self, datagram: &mut Vec<u8>, content: Content, keep: bool) {
        // Datagrams repeat their templates.
        let keep = keep && self.transport == Transport::Tcp;
        self.queue.push(datagram, content, self.transport_session, self.when_full, keep);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The thread ends; nobody waits for it.
        self.queue.close(Instant::now());
    }
}
