//! Inputs made of seeds, the same for the same number on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Longest input: beyond it an execution is slow and finds nothing that a shorter one does not.
const LEN_MAX: usize = 4096;
/// Longest block that one change puts in or takes out.
const BLOCK_MAX: usize = 64;
/// Values at which lengths, counts and signs go wrong.
const WORDS: [u32; 16] = [
    0,
    1,
    4,
    15,
    16,
    17,
    0x7f,
    0x80,
    0xfe,
    0xff,
    0x0100,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX,
];

/// Changes seeds at random. There is no feedback, so that the n-th input depends on the number and n alone.
#[derive(Debug)]
pub struct Mutator<'s> {
    seeds: &'s [Vec<u8>],
    rng: ChaCha8Rng,
}

impl<'s> Mutator<'s> {
    /// Begins anew. Each target has inputs of its own for the same number.
    pub fn new(seeds: &'s [Vec<u8>], number: u64, target: &str) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(number);
        let stream = target.bytes().fold(0, |sum, octet| sum << 8 ^ u64::from(octet));
        rng.set_stream(stream);
        Self { seeds, rng }
    }

    /// Makes the next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(LEN_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let block = at..input.len().min(at + 1 + self.below(BLOCK_MAX));
        let to = self.below(input.len());
        match self.below(10) {
            0 => {
                if let Some(octet) = input.get_mut(at) {
                    *octet ^= 1 << self.below(8);
                }
            }
            1 => {
                if let Some(octet) = input.get_mut(at) {
                    *octet = self.octet();
                }
            }
            // A length: any of one, two or four octets, often one that says what is left.
            2 | 3 => {
                let left = u32::try_from(input.len() - at).unwrap_or(0);
                let word = match self.below(4) {
                    0 => left,
                    1 => left.wrapping_sub(4),
                    _ => WORDS[self.below(WORDS.len())],
                };
                let len = [1, 2, 4][self.below(3)].min(input.len() - at);
                input[at..at + len].copy_from_slice(&word.to_be_bytes()[4 - len..]);
            }
            4 => {
                let octets: Vec<u8> = (0..=self.below(BLOCK_MAX)).map(|_| self.octet()).collect();
                input.splice(at..at, octets);
            }
            5 => drop(input.drain(block)),
            6 => {
                let copy = input[block].to_vec();
                input.splice(to..to, copy);
            }
            7 => input.truncate(at),
            // The beginning of this one and the end of another; or a block of another in the middle.
            8 => {
                let other = self.seed();
                input.truncate(at);
                input.extend_from_slice(&other[self.below(other.len())..]);
            }
            _ => {
                let other = self.seed();
                let from = self.below(other.len());
                let to = other.len().min(from + 1 + self.below(BLOCK_MAX));
                input.splice(at..at, other[from..to].iter().copied());
            }
        }
    }

    fn seed(&mut self) -> &'s [u8] {
        let seeds = self.seeds;
        seeds.get(self.below(seeds.len())).map_or(&[], Vec::as_slice)
    }

    /// Below `end`, or 0 where that is 0.
    fn below(&mut self, end: usize) -> usize {
        self.rng.next_u32() as usize % end.max(1)
    }

    fn octet(&mut self) -> u8 {
        self.rng.next_u32().to_be_bytes()[0]
    }
}
