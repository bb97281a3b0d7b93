//! Where a run takes place: the gateway's lives one after the other, the carriers it connects to, the ESMEs that
//! connect to it, and the ledger that all of them write to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::values::BindKind;
use tidegate_gateway::carrier::Reconnect;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::connect::link_kinds;
use tidegate_gateway::serve::Hub;
use tidegate_store::disk::FaultyDisk;
use tidegate_store::spool::Spool;
use tokio::task::spawn_local;

use super::carrier::Centre;
use super::chance::Chance;
use super::esme::Account;
use super::ledger::Ledger;
use crate::pipe::Pipes;
use crate::wire::Wire;
use crate::world::{START_MS, Setup, World, carrier_link};

/// How a life of the gateway ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndOfLife {
    /// Asked to stop.
    Orderly,
    /// Killed; the system lives on, with what was written to it.
    Killed,
    /// The power goes; only what was synced is left.
    PowerCut,
    /// The same, and of what was not synced some sectors survive.
    TornPowerCut,
}

/// See the [module](self).
pub(crate) struct Site {
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    pub(crate) clock: Clock,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) centres: Vec<Rc<Centre>>,
    pub(crate) accounts: RefCell<Vec<Rc<Account>>>,
    pub(crate) world: RefCell<Option<World>>,
    disk: RefCell<FaultyDisk>,
    lives: Cell<u64>,
    /// Peers behave from now on, and nothing new is submitted.
    pub(crate) quiet: Cell<bool>,
    /// The run is over.
    pub(crate) over: Cell<bool>,
    /// Faults of the disk are under way.
    pub(crate) disk_fails: Cell<bool>,
    /// The life that is being ended in order can write nothing.
    ends_stuck: Cell<bool>,
    /// Damage on the disk was made on purpose.
    pub(crate) damage: Cell<bool>,
}

/// The configuration of the simulation.
pub(crate) fn config() -> tidegate_config::Config {
    let text = include_str!("simulation.toml");
    tidegate_config::parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

impl Site {
    pub(crate) fn new(seed: u64, setup: Setup) -> Rc<Self> {
        let clock = Clock::virtual_from(START_MS);
        let centres = (0..setup.config.carriers.len())
            .map(|index| Centre::new(seed, index))
            .collect();
        Rc::new(Self {
            seed,
            setup,
            ledger: RefCell::new(Ledger::new(clock.clone())),
            clock,
            centres,
            accounts: RefCell::default(),
            world: RefCell::new(None),
            disk: RefCell::new(FaultyDisk::new()),
            lives: Cell::new(0),
            quiet: Cell::new(false),
            over: Cell::new(false),
            disk_fails: Cell::new(false),
            ends_stuck: Cell::new(false),
            damage: Cell::new(false),
        })
    }

    pub(crate) fn ledger(&self) -> std::cell::RefMut<'_, Ledger> {
        self.ledger.borrow_mut()
    }

    /// The disk as it is now.
    pub(crate) fn disk(&self) -> FaultyDisk {
        self.disk.borrow().clone()
    }

    /// Puts another disk in its place, between two lives.
    pub(crate) fn replace_disk(&self, disk: FaultyDisk) {
        *self.disk.borrow_mut() = disk;
    }

    /// An ESME's connection, while there is a gateway.
    pub(crate) fn connect(&self) -> Option<Wire> {
        self.world.borrow().as_ref().map(World::esme)
    }

    /// Looks at the living gateway.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&World) -> T) -> Option<T> {
        self.world.borrow().as_ref().map(at)
    }

    // ===== lives =====

    /// Begins a life of the gateway on the disk as it is; the error says why it cannot.
    pub(crate) fn begin(self: &Rc<Self>) -> Result<(), String> {
        let life = self.lives.get() + 1;
        self.lives.set(life);
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(life);
        let world = World::start_with(&self.setup, self.disk(), self.clock.clone(), seed)?;
        let found = world.recovered;
        self.ledger().note(&format!(
            "life {life}: {} legs {} entries in {} segments, {} octets torn",
            found.legs, found.entries, found.segments, found.torn_octets
        ));
        if found.is_alarming() && !self.damage.get() {
            self.ledger()
                .violate("life", &format!("the start found {found:?}"));
        }
        let config = &self.setup.config;
        for (place, carrier) in config.carriers.iter().enumerate() {
            for (slot, kind) in link_kinds(carrier.binds, carrier.links).into_iter().enumerate() {
                let number = 1_000 * life + 100 * (place as u64) + slot as u64;
                let rng = Chance::new(self.seed, (1 << 32) + number);
                let (site, hub, pipes) = (Rc::clone(self), Rc::clone(&world.hub), world.pipes.clone());
                world.spawn(async move { site.keep_link(&hub, &pipes, place, kind, rng).await });
            }
        }
        *self.world.borrow_mut() = Some(world);
        Ok(())
    }

    /// Begins a life, again and again until the disk lets it.
    pub(crate) async fn begin_soon(self: &Rc<Self>) {
        for _ in 0..100 {
            match self.begin() {
                Ok(()) => return,
                Err(error) => self.ledger().note(&format!("no start: {error}")),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.ledger()
            .violate("life", "the gateway does not start any more");
    }

    /// Ends the life of the gateway.
    pub(crate) async fn end(&self, how: EndOfLife, chance: &mut Chance) {
        // While it ends, nobody can look whether it is able to remember what it hears.
        let was_stuck = self.is_stuck();
        let Some(world) = self.world.borrow_mut().take() else {
            return;
        };
        self.ends_stuck.set(was_stuck);
        let disk = match how {
            EndOfLife::Orderly => {
                let disk = world.stop().await;
                if self.ends_stuck.replace(false) {
                    self.ledger().trouble("what it heard last is forgotten");
                }
                self.ledger().totals.restarts += 1;
                self.ledger().note("stopped");
                disk
            }
            EndOfLife::Killed => {
                self.ledger().totals.kills += 1;
                self.ledger().trouble("killed");
                world.kill()
            }
            EndOfLife::PowerCut => {
                self.ledger().totals.power_cuts += 1;
                self.ledger().trouble("power cut");
                world.kill().crash()
            }
            EndOfLife::TornPowerCut => {
                self.ledger().totals.power_cuts += 1;
                self.ledger().trouble("power cut, torn");
                world.kill().crash_with(chance.rng())
            }
        };
        *self.disk.borrow_mut() = disk;
    }

    /// Keeps one link slot to a carrier connected, as [`tidegate_gateway::connect`] does over sockets.
    async fn keep_link(
        self: Rc<Self>,
        hub: &Rc<Hub<FaultyDisk>>,
        pipes: &Pipes,
        carrier: usize,
        kind: BindKind,
        mut rng: Chance,
    ) {
        let (min, max) = {
            let config = &self.setup.config.carriers[carrier];
            (config.reconnect_min, config.reconnect_max)
        };
        let mut reconnect = Reconnect::new(min, max);
        loop {
            let centre = &self.centres[carrier];
            let is_wanted = hub.look(|gate, _| !gate.carriers()[carrier].removed);
            let (end, was_bound) = if centre.is_reachable() && is_wanted {
                let (wire, run) = carrier_link(hub, pipes, carrier, kind);
                spawn_local(Rc::clone(centre).serve(Rc::clone(&self), wire, kind));
                run.await
            } else {
                (tidegate_gateway::links::End::Lost, false)
            };
            let pause = reconnect.after(end, was_bound, rng.rng());
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether nothing is unfinished, and nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.look(|world| {
            world.hub.look(|gate, _| {
                let spool = gate.spool();
                spool.index().is_empty()
                    && spool.outbox().is_empty()
                    && spool.pending() == tidegate_store::spool::Pending::Nothing
            })
        })
        .unwrap_or(false)
    }

    /// How many segments the spool has made so far, by their names.
    pub(crate) fn segments_made(&self) -> u64 {
        let number = |path: std::path::PathBuf| {
            let name = path.strip_prefix("spool").ok()?.to_str()?.to_owned();
            u64::from_str_radix(name.split('.').next()?, 16).ok()
        };
        self.disk()
            .paths()
            .into_iter()
            .filter_map(number)
            .max()
            .unwrap_or(0)
    }

    /// Whether nothing can be written now.
    pub(crate) fn is_stuck(&self) -> bool {
        let living = self.look(|world| {
            let stuck = |spool: &Spool<FaultyDisk>| spool.is_broken() || !spool.has_progress_room();
            world.hub.look(|gate, _| stuck(gate.spool()))
        });
        living.unwrap_or(self.ends_stuck.get())
    }

    /// Whether a sync has failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.look(|world| world.hub.look(|gate, _| gate.spool().is_broken()))
            .unwrap_or(false)
    }
}
