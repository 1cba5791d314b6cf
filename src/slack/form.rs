//! Fields of `application/x-www-form-urlencoded`, the form that Slack's interactions and commands
//! have (WHATWG URL, 5.1).

/// The first field of that name, decoded; `None` if there is none or it is no text.
pub fn field(body: &[u8], name: &str) -> Option<String> {
    body.split(|byte| *byte == b'&')
        .filter_map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            Some((halves.next()?, halves.next().unwrap_or_default()))
        })
        .find(|(key, _)| decoded(key).as_deref() == Some(name))
        .and_then(|(_, value)| decoded(value))
}

fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                u8::try_from(value).ok()?
            }
            plain => *plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_decoded_and_the_first_of_a_name_counts() {
        let body = b"text=a+%26+b%C3%A9&empty=&text=c&bare";
        assert_eq!(field(body, "text").as_deref(), Some("a & bé"));
        assert_eq!(field(body, "empty").as_deref(), Some(""));
        assert_eq!(field(body, "bare").as_deref(), Some(""));
        assert_eq!(field(body, "other"), None);
        assert_eq!(field(b"text=%f", "text"), None);
        assert_eq!(field(b"text=%ff", "text"), None);
    }
}
