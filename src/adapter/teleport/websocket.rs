//! The little of WebSocket that carries TLS through a load balancer: binary frames out, data
//! frames in, pings answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// Where a proxy switches protocols.
const PATH: &str = "/webapi/connectionupgrade";
/// What is carried: a connection that the proxy routes by ALPN, kept alive by pings.
const PROTOCOL: &str = "alpn-ping";
/// Largest head of an answer, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Most payload of one frame that we send, in bytes: one TLS record.
const FRAME_MAX: usize = 16 * 1024;
/// Bytes that are asked of the connection at once.
const READ_SIZE: usize = 16 * 1024;
/// Longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_MAX: u64 = 125;
/// Lengths below this stand in the second byte; 126 and 127 announce longer forms.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
/// Last frame of a message.
const FINAL: u8 = 0x80;
/// In the second byte: a mask follows.
const MASKED: u8 = 0x80;
/// The official client's mask: the payload is TLS already, nothing can be smuggled in it.
const MASK: u32 = 0;

const OP_CONTINUATION: u8 = 0x0;
const OP_TEXT: u8 = 0x1;
const OP_BINARY: u8 = 0x2;
const OP_CLOSE: u8 = 0x8;
const OP_PING: u8 = 0x9;
const OP_PONG: u8 = 0xA;

/// A connection inside WebSocket frames.
#[derive(Debug)]
pub(super) struct WebSocket<S> {
    stream: S,
    /// Read and not yet understood.
    incoming: BytesMut,
    /// Bytes of the current data frame that are still to come.
    remaining: u64,
    /// Framed and not yet written.
    outgoing: BytesMut,
    closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Asks the proxy behind `stream` to switch.
    ///
    /// # Errors
    /// The connection's, or what the proxy said instead.
    pub(super) async fn upgrade(mut stream: S, host: &str) -> io::Result<Self> {
        let key = STANDARD.encode(fastrand::u128(..).to_be_bytes());
        let request = format!(
            "GET {PATH} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let (head, incoming) = read_head(&mut stream).await?;
        // The accept key would only show that the other side knows WebSocket; so does its
        // choice of our protocol, and the TLS inside proves who it is.
        match status_of(&head) {
            Some(101) if header(&head, "sec-websocket-protocol") == Some(PROTOCOL) => {}
            Some(101) => return Err(other("the proxy switched to another protocol")),
            Some(404) => return Err(other("the proxy knows no connection upgrade")),
            Some(status) => {
                return Err(other(&format!("the proxy refused the upgrade with status {status}")));
            }
            None => return Err(other("the answer to the upgrade is no HTTP")),
        }
        Ok(Self { stream, incoming, remaining: 0, outgoing: BytesMut::new(), closed: false })
    }
}

/// The head of an HTTP answer, and what came after it.
pub(super) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> io::Result<(String, BytesMut)> {
    let mut bytes = BytesMut::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = bytes.split_to(at.saturating_add(4));
            return Ok((String::from_utf8_lossy(&head).into_owned(), bytes));
        }
        if bytes.len() > HEAD_MAX {
            return Err(other("the head of the answer does not end"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The status of an HTTP answer.
pub(super) fn status_of(head: &str) -> Option<u16> {
    let line = head.lines().next()?.strip_prefix("HTTP/1.")?;
    line.split(' ').nth(1)?.parse().ok()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn other(message: &str) -> io::Error {
    io::Error::other(message.to_owned())
}

fn broken(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

fn put_frame(out: &mut BytesMut, operation: u8, payload: &[u8]) {
    out.put_u8(FINAL | operation);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < LENGTH_16 => out.put_u8(MASKED | length),
        (_, Ok(length)) => {
            out.put_u8(MASKED | LENGTH_16);
            out.put_u16(length);
        }
        (_, Err(_)) => {
            out.put_u8(MASKED | LENGTH_64);
            out.put_u64(u64::try_from(payload.len()).unwrap_or(u64::MAX));
        }
    }
    out.put_u32(MASK);
    out.put_slice(payload);
}

/// The head of a frame.
struct Head {
    operation: u8,
    length: u64,
    size: usize,
}

/// `None`: more bytes are needed.
fn head_of(bytes: &[u8]) -> io::Result<Option<Head>> {
    let (Some(first), Some(second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if second & MASKED != 0 {
        return Err(broken("the proxy sent a masked frame"));
    }
    let (length, size) = match second & !MASKED {
        LENGTH_16 => match bytes.get(2..4).and_then(|two| <[u8; 2]>::try_from(two).ok()) {
            Some(two) => (u64::from(u16::from_be_bytes(two)), 4),
            None => return Ok(None),
        },
        LENGTH_64 => match bytes.get(2..10).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
            Some(eight) => (u64::from_be_bytes(eight), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    Ok(Some(Head { operation: first & 0x0F, length, size }))
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Understands frames until data is due or more bytes are needed.
    fn advance(&mut self) -> io::Result<()> {
        while self.remaining == 0 && !self.closed {
            let Some(head) = head_of(&self.incoming)? else { return Ok(()) };
            match head.operation {
                OP_CONTINUATION | OP_TEXT | OP_BINARY => {
                    self.incoming.advance(head.size);
                    self.remaining = head.length;
                }
                OP_CLOSE => self.closed = true,
                OP_PING | OP_PONG => {
                    if head.length > CONTROL_MAX {
                        return Err(broken("the proxy sent too long a ping"));
                    }
                    let length = usize::try_from(head.length).unwrap_or(usize::MAX);
                    if self.incoming.len() < head.size.saturating_add(length) {
                        return Ok(());
                    }
                    self.incoming.advance(head.size);
                    let payload = self.incoming.split_to(length);
                    if head.operation == OP_PING {
                        put_frame(&mut self.outgoing, OP_PONG, &payload);
                    }
                }
                _ => return Err(broken("the proxy sent a frame of an unknown kind")),
            }
        }
        Ok(())
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.advance()?;
            // Answers to pings go out even if nobody writes.
            if let Poll::Ready(drained) = this.poll_drain(cx) {
                drained?;
                if let Poll::Ready(flushed) = Pin::new(&mut this.stream).poll_flush(cx) {
                    flushed?;
                }
            }
            let due = usize::try_from(this.remaining).unwrap_or(usize::MAX);
            let take = due.min(this.incoming.len()).min(out.remaining());
            if take > 0 {
                out.put_slice(&this.incoming.split_to(take));
                this.remaining =
                    this.remaining.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
                return Poll::Ready(Ok(()));
            }
            if this.closed || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut space = [0_u8; READ_SIZE];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                this.closed = true;
            }
            this.incoming.extend_from_slice(buffer.filled());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // One frame at a time, so that a slow connection holds the writer back.
        ready!(self.poll_drain(cx))?;
        let part = bytes.get(..FRAME_MAX).unwrap_or(bytes);
        put_frame(&mut self.outgoing, OP_BINARY, part);
        if let Poll::Ready(drained) = self.poll_drain(cx) {
            drained?;
        }
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::WebSocket;

    /// Server frames of every length form, split at every byte, with pings between them.
    #[tokio::test]
    async fn frames_are_understood_wherever_they_are_cut() {
        let mut frames = vec![0x82, 3, b'a', b'b', b'c', 0x89, 2, b'h', b'i', 0x8A, 0];
        frames.extend([0x02, 126, 1, 0]);
        frames.extend([b'x'; 256]);
        frames.extend([0x80, 127, 0, 0, 0, 0, 0, 0, 0, 1, b'y', 0x88, 0]);
        for cut in 0..frames.len() {
            let (ours, mut theirs) = duplex(4096);
            let mut socket = WebSocket {
                stream: ours,
                incoming: bytes::BytesMut::new(),
                remaining: 0,
                outgoing: bytes::BytesMut::new(),
                closed: false,
            };
            let (left, right) = frames.split_at(cut);
            let (left, right) = (left.to_vec(), right.to_vec());
            let sending = async {
                theirs.write_all(&left).await.unwrap();
                tokio::task::yield_now().await;
                theirs.write_all(&right).await.unwrap();
                let mut pong = [0_u8; 8];
                theirs.read_exact(&mut pong).await.unwrap();
                pong
            };
            let mut data = Vec::new();
            let (read, pong) = tokio::join!(socket.read_to_end(&mut data), sending);
            assert_eq!(read.unwrap(), 260, "cut at {cut}");
            assert!(data.starts_with(b"abcx") && data.ends_with(b"xy"), "cut at {cut}");
            assert_eq!(pong, [0x8A, 0x82, 0, 0, 0, 0, b'h', b'i'], "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn what_is_written_is_framed_and_masked_with_nothing() {
        for (size, head) in [(3, vec![0x82, 0x83]), (300, vec![0x82, 0xFE, 1, 44])] {
            let (ours, mut theirs) = duplex(4096);
            let mut socket = WebSocket {
                stream: ours,
                incoming: bytes::BytesMut::new(),
                remaining: 0,
                outgoing: bytes::BytesMut::new(),
                closed: false,
            };
            socket.write_all(&vec![7; size]).await.unwrap();
            socket.flush().await.unwrap();
            let mut seen = vec![0; head.len() + 4 + size];
            theirs.read_exact(&mut seen).await.unwrap();
            let expected: Vec<u8> =
                head.into_iter().chain([0; 4]).chain(std::iter::repeat_n(7, size)).collect();
            assert_eq!(seen, expected);
        }
    }
}
