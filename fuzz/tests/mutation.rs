//! Some seconds of seeded mutation for each body: TIDEGATE_FUZZ_SECONDS (1) and TIDEGATE_FUZZ_SEED (0).

#![allow(clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "how much was run is a result, too")]
#![allow(clippy::disallowed_methods, reason = "a test measures")]

use std::any::Any;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tidegate_fuzz::{Mutator, TARGETS, Target, committed, seeds};

/// Longer than any execution takes, on a machine with other things to do.
const HANG: Duration = Duration::from_secs(5);
/// Inputs that are run however slow the machine is.
const LEAST: u64 = 200;

/// Which input is being run, for the one who watches.
#[derive(Clone, Default)]
struct Current {
    number: u64,
    input: Vec<u8>,
}

fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {value}")),
        Err(_) => default,
    }
}

fn mutate(name: &str) {
    let target = *TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target");
    let seed = setting("TIDEGATE_FUZZ_SEED", 0);
    let time = Duration::from_secs(setting("TIDEGATE_FUZZ_SECONDS", 1));
    let executed = watched(target, seed, time, HANG).unwrap_or_else(|fault| panic!("{fault}"));
    println!("fuzz {name}: {executed} executions in {time:?}, TIDEGATE_FUZZ_SEED={seed}");
    assert!(executed >= LEAST);
}

/// Runs a body on a thread of its own, so that one that does not come back can be named.
fn watched(target: Target, seed: u64, time: Duration, hang: Duration) -> Result<u64, String> {
    let current = Arc::new(Mutex::new(Current::default()));
    let (done, ended) = sync_channel(1);
    let seen = current.clone();
    thread::spawn(move || done.send(run(target, seed, time, &seen)));
    let mut last = 0;
    loop {
        match ended.recv_timeout(hang) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => return Err(format!("{}: ended early", target.name)),
            Err(RecvTimeoutError::Timeout) => {
                let now = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if now.number == last {
                    return Err(report(target, seed, &now, "hangs"));
                }
                last = now.number;
            }
        }
    }
}

fn run(target: Target, seed: u64, time: Duration, current: &Mutex<Current>) -> Result<u64, String> {
    let mut inputs = seeds(target.name);
    let committed = committed(target.name).map_err(|error| format!("{}: {error}", target.name))?;
    inputs.extend(committed.into_iter().map(|(_, octets)| octets));
    let mut mutator = Mutator::new(&inputs, seed, target.name);
    let begin = Instant::now();
    let mut number = 0;
    while number < LEAST || begin.elapsed() < time {
        let input = mutator.next_input();
        number += 1;
        {
            let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
            current.number = number;
            current.input.clone_from(&input);
        }
        if let Err(fault) = catch_unwind(AssertUnwindSafe(|| (target.body)(&input))) {
            return Err(report(
                target,
                seed,
                &Current { number, input },
                &said(fault.as_ref()),
            ));
        }
    }
    Ok(number)
}

fn said(fault: &(dyn Any + Send)) -> String {
    let text = fault.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| fault.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a word"))
}

/// Keeps the input and says how it becomes a file of the corpus.
fn report(target: Target, seed: u64, current: &Current, what: &str) -> String {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("fuzz-{}-{seed}-{}", target.name, current.number));
    let kept = fs::write(&file, &current.input)
        .map_or_else(|error| error.to_string(), |()| file.display().to_string());
    let hex = current.input.iter().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    });
    format!(
        "{} {what}, at input {} of TIDEGATE_FUZZ_SEED={seed} ({kept}; its place is fuzz/corpus/{}/): {hex}",
        target.name, current.number, target.name
    )
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { mutate(stringify!($name)); })*

        #[test]
        fn every_target_is_mutated() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! { pdu stream session text udh reassembly receipt config segment record words }

#[test]
fn inputs_are_the_same_for_the_same_number() {
    let seeds = seeds("pdu");
    let inputs = |number, target| {
        let mut mutator = Mutator::new(&seeds, number, target);
        (0..100).map(|_| mutator.next_input()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1, "pdu"), inputs(1, "pdu"));
    assert_ne!(inputs(1, "pdu"), inputs(2, "pdu"));
    assert_ne!(inputs(1, "pdu"), inputs(1, "stream"));
}

#[test]
fn a_body_that_panics_or_hangs_is_named_with_its_input() {
    fn panics(octets: &[u8]) {
        assert!(octets.len() < 100, "too long");
    }
    fn hangs(octets: &[u8]) {
        while octets.len() > 100 {
            thread::park();
        }
    }
    let target = |body| Target { name: "pdu", body };
    for (body, what) in [
        (panics as fn(&[u8]), "pdu panicked: too long"),
        (hangs, "pdu hangs"),
    ] {
        let fault = watched(target(body), 0, Duration::from_secs(60), Duration::from_secs(2));
        let fault = fault.expect_err("a fault");
        assert!(fault.starts_with(what) && fault.contains("at input"), "{fault}");
    }
}
