//! Text as Slack reads and writes it, purely: what people wrote made plain, and what we or the model
//! say made harmless, in pieces that Slack takes.
//!
//! Invariant: nothing that went through [`escape`] or [`mrkdwn`] notifies anybody or leads anywhere
//! that the text does not show.

/// Most characters of a section's text that Slack takes.
pub const MAX_SECTION: usize = 3000;

/// Keeps Slack from reading control sequences in a text: mentions, links, broadcasts.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// What somebody wrote, without Slack's markup and without the mention of `bot` that called us.
pub fn plain(text: &str, bot: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('<') {
        plain.push_str(before);
        let Some((token, after)) = inside.split_once('>') else {
            plain.push('<');
            rest = inside;
            break;
        };
        plain.push_str(&spoken(token, bot));
        rest = after;
    }
    plain.push_str(rest);
    plain
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
        .trim()
        .to_owned()
}

/// One control sequence as a person would read it.
fn spoken(token: &str, bot: &str) -> String {
    let (target, label) = match token.split_once('|') {
        Some((target, label)) => (target, Some(label)),
        None => (token, None),
    };
    if let Some(user) = target.strip_prefix('@') {
        return match label {
            _ if user == bot => String::new(),
            Some(label) => format!("@{label}"),
            None => format!("@{user}"),
        };
    }
    if let Some(channel) = target.strip_prefix('#') {
        return format!(
            "#{}",
            label.filter(|label| !label.is_empty()).unwrap_or(channel)
        );
    }
    if let Some(special) = target.strip_prefix('!') {
        return label.map_or_else(|| format!("@{special}"), str::to_owned);
    }
    match label {
        Some(label) if label != target => format!("{label} ({target})"),
        _ => target.to_owned(),
    }
}

/// The model's Markdown as Slack's own markup. Mentions of everybody are broken, and of single people
/// shown as they stand; code stays as it is.
pub fn mrkdwn(markdown: &str) -> String {
    let mut written = Vec::new();
    let mut is_code = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            written.push("```".to_owned());
        } else if is_code {
            written.push(escape(line));
        } else {
            written.push(line_of(line));
        }
    }
    if is_code {
        written.push("```".to_owned());
    }
    written.join("\n")
}

fn line_of(line: &str) -> String {
    let trimmed = line.trim_start();
    let indent = line.get(..line.len() - trimmed.len()).unwrap_or_default();
    let heading = trimmed.trim_start_matches('#');
    let marks = trimmed.len() - heading.len();
    if (1..=6).contains(&marks) && heading.starts_with(' ') {
        let heading = inline(heading.trim());
        return format!("*{}*", heading.replace('*', ""));
    }
    let item = trimmed.strip_prefix("- ").or(trimmed.strip_prefix("* "));
    match item {
        Some(item) => format!("{indent}• {}", inline(item)),
        None => format!("{indent}{}", inline(trimmed)),
    }
}

/// Emphasis and links of a line, outside of code.
fn inline(line: &str) -> String {
    let pieces: Vec<&str> = line.split('`').collect();
    // An odd tick is a tick.
    let has_pairs = pieces.len() % 2 == 1;
    let written: Vec<String> = pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| match has_pairs && at % 2 == 1 {
            true => escape(piece),
            false => linked(piece),
        })
        .collect();
    unbroadcast(&written.join("`"))
}

/// `[label](https://…)` as a link that shows where it leads if the label looks like an address.
fn linked(text: &str) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('[') {
        let link = inside.split_once("](").and_then(|(label, after)| {
            let (url, after) = after.split_once(')')?;
            let is_plain = url.starts_with("https://") && !url.contains(['<', '>', '|', ' ']);
            (is_plain && !label.contains(['[', '|'])).then_some((label, url, after))
        });
        written.push_str(&spelled(before));
        match link {
            Some((label, url, after)) if label.contains("://") => {
                written.push_str(&format!("{} ({})", escape(label), escape(url)));
                rest = after;
            }
            Some((label, url, after)) => {
                written.push_str(&format!("<{}|{}>", escape(url), spelled(label)));
                rest = after;
            }
            None => {
                written.push('[');
                rest = inside;
            }
        }
    }
    written.push_str(&spelled(rest));
    written
}

/// Words with their emphasis; an address has none.
fn spelled(text: &str) -> String {
    let words = text.split_inclusive(' ').map(|word| {
        let escaped = escape(word);
        match word.contains("://") {
            true => escaped,
            false => escaped.replace("**", "*").replace("__", "*"),
        }
    });
    words.collect()
}

/// Words that clients turn into mentions of everybody get a joiner that keeps them words.
fn unbroadcast(text: &str) -> String {
    let mut text = text.to_owned();
    for word in ["channel", "here", "everyone", "group"] {
        text = text.replace(&format!("@{word}"), &format!("@\u{2060}{word}"));
    }
    text
}

/// Cuts a text into pieces of at most `longest` characters, at line ends where there are any. A
/// fence of code that is cut is closed and opened again.
pub fn pieces(text: &str, longest: usize) -> Vec<String> {
    // Room for the fences that a cut adds; a letter has to fit beside one, or there is no end.
    let room = longest.saturating_sub(8).max(5);
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut is_code = false;
    for line in text.lines() {
        let mut rest = line;
        loop {
            let used = piece.chars().count();
            let fits = rest.chars().count() + usize::from(used > 0) + used <= room;
            if fits {
                if used > 0 {
                    piece.push('\n');
                }
                piece.push_str(rest);
                break;
            }
            let opening = if is_code { "```" } else { "" };
            if used > opening.len() {
                if is_code {
                    piece.push_str("\n```");
                }
                pieces.push(std::mem::replace(&mut piece, opening.to_owned()));
                continue;
            }
            // One line alone is too long.
            let at = rest.char_indices().nth(room - used - usize::from(used > 0));
            let (head, tail) = rest
                .split_at_checked(at.map_or(rest.len(), |(at, _)| at))
                .unwrap_or((rest, ""));
            if used > 0 {
                piece.push('\n');
            }
            piece.push_str(head);
            rest = tail;
        }
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
    }
    if !piece.trim().is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// The beginning of a text, of at most `longest` characters.
pub fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(longest.saturating_sub(1)).collect();
    format!("{beginning}…")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_becomes_plain() {
        let text = "<@UBOT> see <#C1|general>, <@U2> and <https://a.example/x|the page>: a &lt; b &amp;&amp; <https://b.example> <!here>";
        assert_eq!(
            plain(text, "UBOT"),
            "see #general, @U2 and the page (https://a.example/x): a < b && https://b.example @here"
        );
        assert_eq!(plain("a < b", "UBOT"), "a < b");
        assert_eq!(plain("<@UBOT>", "UBOT"), "");
    }

    #[test]
    fn markdown_becomes_slacks_own_markup() {
        let markdown = "## Done\n- **fixed** [the bug](https://a.example/1)\n`a < b`\n```rust\nlet a = <b>;\n```";
        assert_eq!(
            mrkdwn(markdown),
            "*Done*\n• *fixed* <https://a.example/1|the bug>\n`a &lt; b`\n```\nlet a = &lt;b&gt;;\n```"
        );
    }

    #[test]
    fn an_address_stays_as_it_is() {
        let at = "https://a.example/__init__.py?a**b";
        let text = mrkdwn(&format!("__see__ {at} and [**it**]({at})"));
        assert_eq!(text, format!("*see* {at} and <{at}|*it*>"));
    }

    #[test]
    fn a_link_whose_label_is_another_address_shows_both() {
        let text = mrkdwn("[https://bank.example](https://evil.example)");
        assert_eq!(text, "https://bank.example (https://evil.example)");
        assert_eq!(mrkdwn("[x](javascript:alert)"), "[x](javascript:alert)");
    }

    #[test]
    fn nobody_is_notified_by_what_the_model_writes() {
        let written = mrkdwn("<!channel> <!here|x> <@U1> <!subteam^S1> @channel @here @everyone");
        assert!(!written.contains('<'), "{written}");
        for word in ["@channel", "@here", "@everyone"] {
            assert!(!written.contains(word), "{written}");
        }
    }

    #[test]
    fn a_fence_that_is_cut_is_closed_and_opened_again() {
        let text = format!("```\n{}\n```", "x\n".repeat(40).trim_end());
        let cut = pieces(&text, 40);
        assert!(cut.len() > 2);
        for piece in &cut {
            assert_eq!(piece.matches("```").count(), 2, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn every_piece_fits_and_nothing_is_lost(text in "[ab é\n`]{0,300}", longest in 12_usize..60) {
            let cut = pieces(&text, longest);
            prop_assert!(cut.iter().all(|piece| piece.chars().count() <= longest));
            let letters = |text: &str| text.chars().filter(|letter| "abé".contains(*letter)).collect::<String>();
            prop_assert_eq!(letters(&cut.concat()), letters(&text));
        }

        #[test]
        fn no_control_sequence_survives(text in ".{0,200}") {
            let written = mrkdwn(&text);
            for sequence in ["<!", "<@", "<#"] {
                prop_assert!(!written.contains(sequence), "{}", written);
            }
        }
    }
}
