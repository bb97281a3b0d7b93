//! pdu-stream.json: 14 streams or more, fed in chunks.

use tidegate_codec::frame::{Cut, cut};

use crate::json::{name, octets};
use crate::of_file;

#[test]
fn streams_are_cut_at_every_chunk_into_the_same_pdus() {
    let text = include_str!("../../testdata/pdu-stream.json");
    let vectors = of_file("pdu-stream.json", text, 14);
    let (mut pdus, mut octet_by_octet) = (0, 0);
    for vector in &vectors {
        let name = name(vector);
        let all = octets(&vector["hex"]);
        let expect = vector["expect"]["pdus"].as_array().unwrap();
        let left = vector["expect"]["left_over_octets"].as_u64().unwrap();
        let chunks: Vec<usize> = match vector["chunks"].as_array() {
            Some(sizes) => sizes
                .iter()
                .map(|n| usize::try_from(n.as_u64().unwrap()).unwrap())
                .collect(),
            None => {
                assert_eq!(vector["chunks"], "one octet at a time", "{name}");
                octet_by_octet += 1;
                vec![1; all.len()]
            }
        };
        let (mut buffer, mut found, mut at) = (Vec::new(), Vec::new(), 0);
        for chunk in chunks {
            buffer.extend_from_slice(&all[at..at + chunk]);
            at += chunk;
            let mut used = 0;
            while let Cut::Frame { header, .. } = cut(&buffer[used..], 70_000) {
                used += header.length as usize;
                found.push((
                    header.command_id.to_string(),
                    header.sequence,
                    header.status.0,
                    header.length,
                ));
            }
            buffer.drain(..used);
        }
        assert_eq!(at, all.len(), "{name}: the chunks cover the stream");
        assert_eq!(buffer.len() as u64, left, "{name}");
        let theirs: Vec<(String, u32, u32, u32)> = expect
            .iter()
            .map(|pdu| {
                let number = |field: &str| u32::try_from(pdu[field].as_u64().unwrap()).unwrap();
                let name = pdu["command"].as_str().unwrap().to_owned();
                (name, number("seq"), number("status"), number("length"))
            })
            .collect();
        assert_eq!(found, theirs, "{name}");
        pdus += found.len();
    }
    assert!(pdus > vectors.len(), "most streams hold several PDUs: {pdus}");
    assert!(
        (1..vectors.len()).contains(&octet_by_octet),
        "both ways to say chunks"
    );
}
