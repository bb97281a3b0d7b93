//! A stream that comes in chunks.

use tidegate_codec::frame::{Cut, PDU_MAX_DEFAULT, cut};
use tidegate_codec::header::{HEADER_LEN, Header};

/// Longest PDUs that a reader may be set to: the default, the ends of what the configuration allows, and none.
const PDU_MAX: [u32; 4] = [PDU_MAX_DEFAULT, 1024, 1024 * 1024, u32::MAX];

/// How a stream ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// After the last whole PDU there are so many octets, and so many are needed.
    Waiting { have: usize, need: usize },
    /// This command_length cannot be.
    Lost { length: u32 },
}

/// The PDUs cut out of a stream are the same in whatever chunks it comes, and nothing beyond the longest PDU is ever
/// waited for. The input: which limit, how many chunk sizes, these sizes, the stream.
pub fn stream(octets: &[u8]) {
    let Some(([limit, count], rest)) = octets.split_first_chunk() else {
        return;
    };
    let Some((sizes, stream)) = rest.split_at_checked(usize::from(count & 7)) else {
        return;
    };
    let max = PDU_MAX[usize::from(*limit) % PDU_MAX.len()];
    let whole = read_in(stream, max, &[]);
    assert_eq!(whole, read_in(stream, max, &[1]));
    assert_eq!(whole, read_in(stream, max, sizes));
}

/// Reads the stream in chunks of these sizes, in turn for ever; whole when there are none.
fn read_in(stream: &[u8], max: u32, sizes: &[u8]) -> (Vec<Header>, End) {
    let (mut headers, mut start, mut there) = (Vec::new(), 0, 0);
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    let mut lost = None;
    loop {
        let chunk = sizes.next().unwrap_or(stream.len());
        there = stream.len().min(there + chunk);
        loop {
            let here = &stream[start..there];
            match cut(here, max) {
                Cut::Frame { header, body } => {
                    assert!(lost.is_none(), "a PDU behind the end of the framing");
                    let length = header.length as usize;
                    assert!(length >= HEADER_LEN && header.length <= max);
                    assert_eq!(body.0, &here[HEADER_LEN..length]);
                    headers.push(header);
                    start += length;
                }
                Cut::NeedMore(need) => {
                    assert!(lost.is_none(), "a reader that lost the framing waits");
                    let length = here.first_chunk().map(|word| u32::from_be_bytes(*word) as usize);
                    assert_eq!(need, length.unwrap_or(4));
                    assert!(need > here.len() && need <= max as usize);
                    if there == stream.len() {
                        let have = here.len();
                        return (headers, End::Waiting { have, need });
                    }
                    break;
                }
                Cut::Broken(error) => {
                    assert!((error.length as usize) < HEADER_LEN || error.length > max);
                    assert_eq!(error.max, max);
                    let header = here.first_chunk().map(Header::read);
                    assert_eq!(error.sequence, header.map_or(0, |header| header.sequence));
                    // More octets mend nothing: to the end of the stream it is the same length that is wrong.
                    assert!(lost.is_none_or(|length| length == error.length));
                    lost = Some(error.length);
                    if there == stream.len() {
                        let length = error.length;
                        return (headers, End::Lost { length });
                    }
                    break;
                }
            }
        }
    }
}
