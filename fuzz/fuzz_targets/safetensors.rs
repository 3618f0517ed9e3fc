//! Any bytes as a safetensors file: a head or a reason, no panic. Of a whole file each tensor has its bytes in it.
#![no_main]

use std::fs;

use dpgui::config::safetensors::Safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temp dir");
    let place = dir.path().join("a.safetensors");
    fs::write(&place, bytes).expect("written");
    match Safetensors::read(&place) {
        Ok(file) => {
            for (name, tensor) in &file.tensors {
                let [start, end] = tensor.span;
                assert!(start <= end && end <= bytes.len() as u64, "{name}: {tensor:?}");
                let _ = tensor.elements();
            }
        }
        Err(fault) => assert!(!fault.to_string().is_empty() && !fault.fix().is_empty()),
    }
});
