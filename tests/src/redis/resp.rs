//! One command over a connection of its own, in the protocol of Redis.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a command; its answer must be one line or one bulk string.
pub(super) async fn ask(address: SocketAddr, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(text) = unframed(&String::from_utf8_lossy(&answer)) {
            return Ok(text);
        }
    }
}

/// The answer without its frame, once it is whole.
fn unframed(answer: &str) -> Option<String> {
    let (line, rest) = answer.split_once("\r\n")?;
    let Some(length) = line.strip_prefix('$') else {
        return Some(line.trim_start_matches(['+', ':']).to_owned());
    };
    match length.parse::<usize>() {
        Ok(length) => rest.get(..length).map(str::to_owned),
        Err(_) => Some("nil".to_owned()),
    }
}
