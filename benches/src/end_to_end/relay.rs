//! The floor: every connection is joined to one of its own to the carrier, and octets are copied both ways. It
//! parses nothing, keeps nothing, promises nothing. One thread, one `epoll`, reads of up to 64 KiB as the gateway's,
//! and turns paced as the gateway's: without them it would save no system call by gathering, and the gateway does.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use tidegate_gateway::clock::Clock;

use super::Fallible;

/// What one read takes at most.
const READ_MAX: usize = 64 * 1024;
/// Events that one look brings at most.
const EVENTS_MAX: usize = 256;
/// The listener's number; connections have the others, a pair two that follow each other.
const LISTENER: u64 = 0;

/// What it says on standard error when it can be connected to, with its address behind it; the same words
/// as the simulated carrier's.
pub(super) const LISTENING: &str = "listening on ";

/// `relay CARRIER PACING_US`: listens on a free port of this machine and runs until it is killed.
pub(super) fn main(args: &[String]) -> Fallible<()> {
    let [carrier, pacing] = args else {
        return Err("relay CARRIER PACING_US".into());
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    writeln!(io::stderr(), "{LISTENING}{}", listener.local_addr()?)?;
    let pacing = Duration::from_micros(pacing.parse()?);
    Ok(Relay::new(listener, carrier.parse()?)?.run(pacing)?)
}

/// One end of a pair.
struct End {
    socket: TcpStream,
    /// Octets from the other end that this socket did not take yet; until it has, the other is not read.
    backlog: Vec<u8>,
}

struct Relay {
    listener: TcpListener,
    carrier: SocketAddr,
    epoll: OwnedFd,
    ends: HashMap<u64, End>,
    next: u64,
    octets: Vec<u8>,
}

impl Relay {
    fn new(listener: TcpListener, carrier: SocketAddr) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        listener.set_nonblocking(true)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            listener,
            carrier,
            epoll,
            ends: HashMap::new(),
            next: 2,
            octets: vec![0; READ_MAX],
        })
    }

    fn run(mut self, pacing: Duration) -> io::Result<()> {
        let clock = Clock::machine();
        let mut last = Duration::ZERO;
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.look(&mut events, None)?;
            if !pacing.is_zero() {
                clock.pace(last + pacing);
                last = clock.now().monotonic;
                // What came meanwhile goes with it.
                self.look(&mut events, Some(&Timespec::default()))?;
            }
            for Event { flags, data, .. } in events.drain(..) {
                match data.u64() {
                    LISTENER => self.accept()?,
                    number => {
                        // A pair that ends in an error ends for both sides, and they see it.
                        if !self.serve(number, flags).unwrap_or(false) {
                            self.ends.remove(&number);
                            self.ends.remove(&other(number));
                        }
                    }
                }
            }
        }
    }

    fn look(&self, events: &mut Vec<Event>, timeout: Option<&Timespec>) -> io::Result<()> {
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(events), timeout) {
            Err(error) if error != rustix::io::Errno::INTR => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let client = match self.listener.accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        // Connecting blocks, which on loopback is no time, and comes before the first message.
        let Ok(carrier) = TcpStream::connect(self.carrier) else {
            return Ok(());
        };
        for (number, socket) in [(self.next, client), (other(self.next), carrier)] {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            epoll::add(&self.epoll, &socket, EventData::new_u64(number), EventFlags::IN)?;
            let backlog = Vec::new();
            self.ends.insert(number, End { socket, backlog });
        }
        self.next += 2;
        Ok(())
    }

    /// Passes on what one end has, and takes up what it had no room for. False: the pair has ended.
    fn serve(&mut self, number: u64, flags: EventFlags) -> io::Result<bool> {
        // Its pair may have ended in the same turn.
        let Some(end) = self.ends.get_mut(&number) else {
            return Ok(false);
        };
        if flags.contains(EventFlags::OUT) {
            let octets = std::mem::take(&mut end.backlog);
            end.write(&octets)?;
            if end.backlog.is_empty() {
                self.watch(number)?;
            }
            return Ok(true);
        }
        let read = match end.socket.read(&mut self.octets) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let Some(to) = self.ends.get_mut(&other(number)) else {
            return Ok(false);
        };
        to.write(self.octets.get(..read).unwrap_or_default())?;
        if !to.backlog.is_empty() {
            self.watch(number)?;
        }
        Ok(true)
    }

    /// Says anew what is waited for on both ends of a pair: room where there is a backlog, octets where the
    /// other end has none.
    fn watch(&self, number: u64) -> io::Result<()> {
        let pair = [number, other(number)].map(|number| self.ends.get(&number).map(|end| (number, end)));
        let [Some(one), Some(two)] = pair else {
            return Ok(());
        };
        for ((number, end), (_, other)) in [(one, two), (two, one)] {
            let mut flags = EventFlags::empty();
            flags.set(EventFlags::OUT, !end.backlog.is_empty());
            flags.set(EventFlags::IN, other.backlog.is_empty());
            epoll::modify(&self.epoll, &end.socket, EventData::new_u64(number), flags)?;
        }
        Ok(())
    }
}

impl End {
    /// Offers octets to the socket; what it does not take stays in the backlog.
    fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            match self.socket.write(octets) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => octets = octets.get(taken..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.backlog.extend_from_slice(octets);
        Ok(())
    }
}

/// The other end of a pair.
const fn other(number: u64) -> u64 {
    number ^ 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay before something that listens, and one connection through it.
    fn through(pacing: Duration) -> (TcpStream, TcpStream) {
        let carrier = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let relay = Relay::new(listener, carrier.local_addr().unwrap()).unwrap();
        // It ends with the process: nothing tells it to.
        std::thread::spawn(move || relay.run(pacing));
        let client = TcpStream::connect(addr).unwrap();
        (client, carrier.accept().unwrap().0)
    }

    #[test]
    fn more_than_sockets_hold_arrives_whole_both_ways_and_so_does_the_end() {
        for pacing in [Duration::ZERO, Duration::from_micros(500)] {
            let (client, carrier) = through(pacing);
            let octets: Vec<u8> = (0..8_000_000_u32)
                .map(|n| n.to_le_bytes()[n as usize % 3])
                .collect();
            for (mut from, mut to) in [(&client, &carrier), (&carrier, &client)] {
                std::thread::scope(|scope| {
                    scope.spawn(|| from.write_all(&octets).unwrap());
                    let mut found = vec![0; octets.len()];
                    to.read_exact(&mut found).unwrap();
                    assert!(found == octets);
                });
            }
            drop(client);
            assert_eq!((&carrier).read(&mut [0]).unwrap(), 0);
        }
    }
}
