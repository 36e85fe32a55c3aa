//! Any bytes become a message or an error, and what is understood can be said again.
#![no_main]

use littoral_engine::commit_log::Message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Message::decode(bytes);
    if let Ok(message) = Message::decode(&littoral_fuzz::sealed(bytes)) {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
});
