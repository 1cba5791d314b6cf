//! Pictures in what a pull request says. One of before and one of after stand side by side.

use std::fmt::Write as _;

/// Reached with nothing but its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What the agent says that it shows.
    pub caption: String,
    pub url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

#[derive(Debug, PartialEq, Eq)]
enum Row<'a> {
    Pair(&'a Picture, &'a Picture),
    Single(&'a Picture),
}

/// Writes them, oldest first.
pub(super) fn show(text: &mut String, pictures: &[Picture]) {
    let rows = arranged(pictures);
    let mut pairs = rows.iter().filter_map(|row| match row {
        Row::Pair(before, after) => Some((before, after)),
        Row::Single(_) => None,
    });
    if let Some(first) = pairs.next() {
        let _ = writeln!(text, "| Before | After |\n| --- | --- |");
        for (before, after) in std::iter::once(first).chain(pairs) {
            let _ = writeln!(text, "| {} | {} |", image(before), image(after));
        }
        let _ = writeln!(text);
    }
    for row in &rows {
        if let Row::Single(picture) = row {
            let _ = writeln!(text, "{}\n", image(picture));
        }
    }
}

/// What shows the same before and after is a pair: the last before it whose caption goes on alike,
/// else the last one.
fn arranged(pictures: &[Picture]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for picture in pictures {
        let moment = moment(&picture.caption);
        let partner = match moment {
            Some((Moment::After, of)) => {
                let open = |alike: bool| {
                    rows.iter().rposition(|row| {
                        let Row::Single(other) = row else {
                            return false;
                        };
                        matches!(self::moment(&other.caption),
                            Some((Moment::Before, of_other)) if !alike || of_other == of)
                    })
                };
                open(true).or_else(|| open(false))
            }
            _ => None,
        };
        match partner.and_then(|place| rows.get_mut(place)) {
            Some(row) => {
                if let Row::Single(before) = *row {
                    *row = Row::Pair(before, picture);
                }
            }
            None => rows.push(Row::Single(picture)),
        }
    }
    rows
}

/// When a picture was made, if its caption begins with that, and what it is of.
fn moment(caption: &str) -> Option<(Moment, String)> {
    let caption = caption.trim().to_lowercase();
    let (word, rest) = match caption.find(|letter: char| !letter.is_alphabetic()) {
        Some(end) => caption.split_at(end),
        None => (caption.as_str(), ""),
    };
    let moment = match word {
        "before" => Moment::Before,
        "after" => Moment::After,
        _ => return None,
    };
    let of = rest.trim_matches(|letter: char| !letter.is_alphanumeric());
    Some((moment, of.to_owned()))
}

/// A caption is the agent's, so nothing of it may end the picture, the cell or our block.
fn image(picture: &Picture) -> String {
    let caption: String = picture
        .caption
        .chars()
        .map(|letter| match letter {
            '[' | ']' | '|' | '<' | '>' | '\\' | '`' => ' ',
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect();
    format!("![{}]({})", caption.trim(), picture.url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(captions: &[&str]) -> String {
        let pictures: Vec<Picture> = (1..)
            .zip(captions)
            .map(|(number, caption)| Picture {
                caption: (*caption).to_owned(),
                url: format!("https://a/{number}"),
            })
            .collect();
        let mut text = String::new();
        show(&mut text, &pictures);
        text
    }

    #[test]
    fn before_and_after_of_the_same_stand_side_by_side() {
        let text = shown(&[
            "Before: the form",
            "Before: the list",
            "After — the form",
            "A diagram",
            "After: the list",
        ]);
        assert_eq!(
            text,
            "| Before | After |\n| --- | --- |\n\
             | ![Before: the form](https://a/1) | ![After — the form](https://a/3) |\n\
             | ![Before: the list](https://a/2) | ![After: the list](https://a/5) |\n\n\
             ![A diagram](https://a/4)\n\n"
        );
    }

    #[test]
    fn one_without_its_like_is_paired_with_the_last_before() {
        assert!(shown(&["before", "after the change"]).contains("| ![before]"));
        // Nothing was before it.
        assert_eq!(shown(&["after"]), "![after](https://a/1)\n\n");
        assert_eq!(shown(&["Beforehand"]), "![Beforehand](https://a/1)\n\n");
    }

    #[test]
    fn a_caption_ends_neither_its_picture_nor_the_block() {
        let hostile = "x](https://evil) | `y` <!-- hosted-agents:end -->\n# z";
        let text = shown(&[hostile]);
        assert_eq!(text.trim().lines().count(), 1);
        for part in ["](https://evil)", "<!--", "|", "`"] {
            assert!(!text.contains(part), "{part}");
        }
    }
}
