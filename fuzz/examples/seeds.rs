//! Writes the seeds and the committed inputs of every target below a directory, for libFuzzer to begin with.

use std::path::PathBuf;
use std::{env, fs, io};

use tidegate_fuzz::{TARGETS, committed, seeds};

fn main() -> io::Result<()> {
    let Some(top) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("which directory?"));
    };
    for target in TARGETS {
        let directory = top.join(target.name);
        fs::create_dir_all(&directory)?;
        for (number, octets) in seeds(target.name).iter().enumerate() {
            fs::write(directory.join(format!("seed-{number:04}")), octets)?;
        }
        for (name, octets) in committed(target.name)? {
            fs::write(directory.join(name), octets)?;
        }
    }
    Ok(())
}
