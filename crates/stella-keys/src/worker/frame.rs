//! Frames: `length: u32, id: u64, kind: u8`, then the body; all big-endian,
//! the length is of what follows it. Both sides read many at once and write
//! many at once, for each read and write is a wake-up of the other side.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use zeroize::Zeroize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Chosen by whoever asks; the answer carries the same.
    pub id: u64,
    pub kind: Kind,
}

/// What a frame is, as the roles define it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(u8);

impl Kind {
    pub const fn new(number: u8) -> Self {
        Self(number & !SECRET)
    }

    /// Its body is cleansed from every buffer of ours that held it.
    pub const fn secret(number: u8) -> Self {
        Self(number | SECRET)
    }

    pub fn is_secret(self) -> bool {
        self.0 & SECRET != 0
    }
}

/// Reads frames of one stream. Where it breaks off without a whole frame, by
/// a timeout of the stream, the next call goes on.
pub struct FrameReader {
    stream: UnixStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    max_body: usize,
    waits: bool,
}

impl FrameReader {
    pub fn new(stream: UnixStream, max_body: usize) -> Self {
        Self {
            stream,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            max_body,
            waits: true,
        }
    }

    /// Whether it waits for what is not here yet, or says `WouldBlock`.
    pub fn wait(&mut self, waits: bool) {
        self.waits = waits;
    }

    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Whether the next frame is here, and reading it would not wait.
    pub fn has_frame(&self) -> bool {
        self.length()
            .is_some_and(|length| self.end - self.start >= LENGTH + length)
    }

    /// How many whole frames of this kind are here before one of another.
    pub fn frames_of(&self, kind: Kind) -> usize {
        let mut rest = &self.buffer[self.start..self.end];
        let mut frames = 0;
        while let Some((length, body)) = rest.split_first_chunk::<LENGTH>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length < HEAD || body.len() < length || body[HEAD - 1] != kind.0 {
                break;
            }
            rest = &body[length..];
            frames += 1;
        }
        frames
    }

    /// The next frame, its body in `body`. `None` at the end of the stream.
    pub fn next(&mut self, body: &mut Vec<u8>) -> io::Result<Option<Header>> {
        loop {
            if let Some(length) = self.length() {
                if length < HEAD || length - HEAD > self.max_body {
                    return Err(io::Error::new(ErrorKind::InvalidData, "a frame of a bad length"));
                }
                if self.end - self.start >= LENGTH + length {
                    return Ok(Some(self.take(length, body)));
                }
                if LENGTH + length > BUFFER && self.end - self.start >= LENGTH + HEAD {
                    return self.take_long(length, body).map(Some);
                }
            }
            if !self.fill()? {
                return if self.start == self.end {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Looks for a frame again and again, for so long: who sleeps is woken
    /// late.
    pub fn linger(&mut self, patience: Duration) {
        let begun = Instant::now();
        self.waits = false;
        while !self.has_frame() && begun.elapsed() < patience {
            match self.fill() {
                Ok(true) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                // The next read says it.
                Ok(false) | Err(_) => break,
            }
        }
        self.waits = true;
    }

    fn length(&self) -> Option<usize> {
        let head = self.buffer[self.start..self.end].first_chunk::<LENGTH>()?;
        usize::try_from(u32::from_be_bytes(*head)).ok()
    }

    fn header(&mut self) -> Header {
        let head = &self.buffer[self.start + LENGTH..self.start + LENGTH + HEAD];
        let mut id = [0; 8];
        id.copy_from_slice(&head[..8]);
        let kind = Kind(head[8]);
        self.start += LENGTH + HEAD;
        Header {
            id: u64::from_be_bytes(id),
            kind,
        }
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> Header {
        let header = self.header();
        let end = self.start + length - HEAD;
        body.clear();
        body.extend_from_slice(&self.buffer[self.start..end]);
        if header.kind.is_secret() {
            self.buffer[self.start..end].zeroize();
        }
        self.start = end;
        header
    }

    /// One that the buffer does not hold: the rest goes where it belongs. It
    /// waits for all of it, so only a side without timeouts allows for it.
    fn take_long(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<Header> {
        let header = self.header();
        let here = self.end - self.start;
        body.clear();
        body.resize(length - HEAD, 0);
        body[..here].copy_from_slice(&self.buffer[self.start..self.end]);
        self.buffer[self.start..self.end].zeroize();
        self.start = self.end;
        self.stream.read_exact(&mut body[here..])?;
        Ok(header)
    }

    /// False at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && BUFFER - self.start < LENGTH + self.length().unwrap_or(BUFFER) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            let read = if self.waits {
                self.stream.read(&mut self.buffer[self.end..])
            } else {
                recv(&self.stream, &mut self.buffer[self.end..], RecvFlags::DONTWAIT)
                    .map(|(read, _)| read)
                    .map_err(io::Error::from)
            };
            match read {
                Ok(read) => {
                    self.end += read;
                    return Ok(read > 0);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Writes frames to one stream, from any number of threads: whoever finds
/// nobody writing writes for all who come meanwhile.
pub struct FrameWriter {
    stream: UnixStream,
    queue: Mutex<Queue>,
    done: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Given back by the last writer, so that no write allocates.
    spare: Vec<u8>,
    writing: bool,
    /// Secrets that wait for their turn to be written.
    secrets: usize,
    broken: bool,
}

impl FrameWriter {
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            queue: Mutex::default(),
            done: Condvar::new(),
        }
    }

    /// Writes a frame, or leaves it to a thread that is writing. An error is
    /// the end of the stream for everybody.
    pub fn send(&self, header: Header, body: &[&[u8]]) -> io::Result<()> {
        if header.kind.is_secret() {
            return self.send_secret(header, body);
        }
        let mut queue = self.lock();
        if queue.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        put(&mut queue.waiting, header, body)?;
        if queue.writing {
            return Ok(());
        }
        queue.writing = true;
        self.drain(queue)
    }

    /// Leaves a frame to the next [`send`](Self::send), which must come soon:
    /// several in one write wake the other side once. Of no secret.
    pub fn leave(&self, header: Header, body: &[&[u8]]) -> io::Result<()> {
        put(&mut self.lock().waiting, header, body)
    }

    /// As long as it is written it is in a buffer of its own, which is cleansed.
    fn send_secret(&self, header: Header, body: &[&[u8]]) -> io::Result<()> {
        let size = body.iter().map(|part| part.len()).sum::<usize>();
        let mut frame = zeroize::Zeroizing::new(Vec::with_capacity(LENGTH + HEAD + size));
        put(&mut frame, header, body)?;
        let mut queue = self.lock();
        queue.secrets += 1;
        while queue.writing {
            queue = self.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.secrets -= 1;
        if queue.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        queue.writing = true;
        drop(queue);
        let written = (&self.stream).write_all(&frame);
        let mut queue = self.lock();
        queue.broken |= written.is_err();
        written.and(self.drain(queue))
    }

    /// Writes until nothing waits. `writing` is ours.
    fn drain<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> io::Result<()> {
        let mut result = Ok(());
        while !queue.waiting.is_empty() && !queue.broken {
            let empty = std::mem::take(&mut queue.spare);
            let mut batch = std::mem::replace(&mut queue.waiting, empty);
            drop(queue);
            result = (&self.stream).write_all(&batch);
            batch.clear();
            queue = self.lock();
            queue.broken |= result.is_err();
            if batch.capacity() <= BUFFER {
                queue.spare = batch;
            }
        }
        queue.writing = false;
        // A call of the system even where nobody waits.
        if queue.secrets > 0 {
            self.done.notify_all();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(out: &mut Vec<u8>, header: Header, body: &[&[u8]]) -> io::Result<()> {
    let size = body.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(HEAD + size)
        .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "a frame of more than 4 GiB"))?;
    out.reserve(LENGTH + HEAD + size);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&header.id.to_be_bytes());
    out.push(header.kind.0);
    for part in body {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// The largest body that is read without waiting for the rest of it.
pub const MAX_SHORT_BODY: usize = BUFFER - LENGTH - HEAD;
const BUFFER: usize = 64 << 10;
const LENGTH: usize = 4;
const HEAD: usize = 9;
const SECRET: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn pair(max_body: usize) -> (FrameWriter, FrameReader) {
        let (a, b) = UnixStream::pair().expect("socket pair");
        (FrameWriter::new(a), FrameReader::new(b, max_body))
    }

    fn header(id: u64) -> Header {
        Header {
            id,
            kind: Kind::new(7),
        }
    }

    #[test]
    fn who_lingers_loses_nothing_of_what_comes_meanwhile() {
        let (mut near, far) = UnixStream::pair().expect("socket pair");
        let mut reader = FrameReader::new(far, 1 << 20);
        let patience = Duration::from_millis(1);
        let mut body = Vec::new();
        for size in [0, 1, 1000, MAX_SHORT_BODY, MAX_SHORT_BODY + 1, 150_000] {
            let sent = vec![7; size];
            let mut frame = Vec::new();
            put(&mut frame, header(9), &[&sent]).expect("a frame");
            let (first, rest) = frame.split_at(frame.len() / 2);
            for part in [first, rest] {
                near.write_all(part).expect("sent");
                reader.linger(patience);
            }
            assert_eq!(reader.next(&mut body).expect("read"), Some(header(9)));
            assert_eq!(body, sent);
        }
        reader.linger(patience);
        drop(near);
        reader.linger(patience);
        assert_eq!(reader.next(&mut body).expect("the end"), None);
    }

    #[test]
    fn frames_arrive_whole_whatever_their_size() {
        let (writer, mut reader) = pair(1 << 20);
        let sizes = [
            0,
            1,
            9,
            1000,
            MAX_SHORT_BODY,
            MAX_SHORT_BODY + 1,
            300_000,
            3,
            1 << 20,
            5,
        ];
        let sender = thread::spawn(move || {
            for (id, size) in (0..).zip(sizes) {
                let body = vec![u8::try_from(id).expect("small"); size];
                writer
                    .send(header(id), &[&body[..size / 2], &body[size / 2..]])
                    .expect("send");
            }
        });
        let mut body = Vec::new();
        for (id, size) in (0..).zip(sizes) {
            assert_eq!(reader.next(&mut body).expect("frame"), Some(header(id)));
            assert_eq!(body.len(), size);
            assert!(body.iter().all(|b| u64::from(*b) == id), "frame {id}");
        }
        sender.join().expect("sender");
        assert_eq!(reader.next(&mut body).expect("end"), None);
    }

    #[test]
    fn many_threads_write_frames_that_do_not_mix() {
        let (writer, mut reader) = pair(1 << 20);
        let mut seen = [0; 8];
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                let writer = &writer;
                scope.spawn(move || {
                    for i in 0..200_u64 {
                        let kind = if i % 50 == 0 {
                            Kind::secret(1)
                        } else {
                            Kind::new(1)
                        };
                        let id = thread << 32 | i;
                        let body = id
                            .to_be_bytes()
                            .repeat(1 + usize::try_from(i % 7).expect("small"));
                        writer.send(Header { id, kind }, &[&body]).expect("send");
                    }
                });
            }
            let mut body = Vec::new();
            for _ in 0..8 * 200 {
                let header = reader.next(&mut body).expect("frame").expect("not the end");
                assert!(body.chunks(8).all(|id| id == header.id.to_be_bytes()));
                let thread = usize::try_from(header.id >> 32).expect("small");
                // Those of one thread arrive in its order.
                assert_eq!(header.id & 0xffff_ffff, seen[thread]);
                seen[thread] += 1;
            }
        });
    }

    #[test]
    fn a_frame_beyond_its_bound_is_refused_before_it_is_read() {
        let (writer, mut reader) = pair(100);
        writer.send(header(1), &[&[0; 101]]).expect("send");
        let error = reader.next(&mut Vec::new()).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_secret_is_in_no_buffer_once_it_was_taken() {
        let (writer, mut reader) = pair(100);
        let kind = Kind::secret(1);
        writer
            .send(Header { id: 1, kind }, &[b"1234-secret"])
            .expect("send");
        let mut body = Vec::new();
        reader.next(&mut body).expect("frame");
        assert_eq!(body, b"1234-secret");
        let held = |buffer: &[u8]| buffer.windows(6).any(|w| w == b"secret");
        assert!(!held(&reader.buffer));
        assert!(!held(&writer.lock().spare));
    }

    #[test]
    fn reading_goes_on_after_a_timeout_in_the_middle_of_a_frame() {
        let (a, b) = UnixStream::pair().expect("socket pair");
        b.set_read_timeout(Some(std::time::Duration::from_millis(1)))
            .expect("timeout");
        let mut reader = FrameReader::new(b, 100);
        let mut frame = Vec::new();
        put(&mut frame, header(3), &[b"body"]).expect("frame");
        let mut body = Vec::new();
        for (i, byte) in frame.iter().enumerate() {
            let waiting = reader.next(&mut body).expect_err("not whole");
            assert_eq!(waiting.kind(), ErrorKind::WouldBlock, "byte {i}");
            (&a).write_all(&[*byte]).expect("write");
        }
        assert_eq!(reader.next(&mut body).expect("frame"), Some(header(3)));
        assert_eq!(body, b"body");
    }
}
