//! The frames of an HTTP/2 connection, as its bytes pass: where the middle of a large one lies.

/// Bytes of a frame's header: its length in three, its type, its flags, and the stream.
const HEADER: usize = 9;

/// The type of frames that carry what is said.
const DATA: u8 = 0;

/// Bytes of a frame that is large: more than anything but a body makes.
const LARGE: usize = 8 << 10;

/// How far into its frame a connection is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: Vec<u8>,
    /// Bytes of the frame that are still to come, without its header.
    left: usize,
    /// How many of them are left in its middle, if it is a large one that carries something.
    middle: Option<usize>,
}

impl Frames {
    /// Takes in what passes, and says where in it large frames have their middles.
    pub(super) fn middles(&mut self, bytes: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            if self.left == 0 {
                self.header.push(*byte);
                if self.header.len() == HEADER {
                    self.begin();
                }
                continue;
            }
            if self.middle == Some(self.left) {
                found.push(at);
            }
            self.left -= 1;
        }
        found
    }

    fn begin(&mut self) {
        self.left = self.header[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.middle = (self.header[3] == DATA && self.left >= LARGE).then_some(self.left / 2);
        self.header.clear();
    }
}
