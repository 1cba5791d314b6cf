//! What a tool call does, in a few words: "cargo test", "read src/lib.rs".

use serde_json::Value;

use super::text::head;

/// Longest title.
const LONGEST: usize = 160;

pub(super) fn title(tool: &str, input: &Value, directory: &str) -> String {
    let argument = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = |name: &str| relative(argument(name), directory).to_owned();
    let title = match tool {
        "bash" => argument("command").to_owned(),
        "read" | "edit" | "write" | "multiedit" => format!("{tool} {}", path("filePath")),
        "list" => format!("list {}", path("path")),
        "glob" => format!("find {}", argument("pattern")),
        "grep" => format!("search for {}", argument("pattern")),
        "task" => argument("description").to_owned(),
        "skill" => format!("skill {}", argument("name")),
        "todowrite" => "plan".to_owned(),
        "apply_patch" | "patch" => "apply a patch".to_owned(),
        _ => String::new(),
    };
    let title = one_line(&title);
    if title.is_empty() {
        one_line(tool)
    } else {
        title
    }
}

/// What a sub-agent does, after what it is for.
pub(super) fn sub_agent_title(agent: &str, title: &str) -> String {
    // The agent writes "do this (@general subagent)".
    let purpose = agent
        .split_once(" (@")
        .map_or(agent, |(purpose, _)| purpose);
    if purpose.is_empty() {
        title.to_owned()
    } else {
        one_line(&format!("{purpose}: {title}"))
    }
}

fn relative<'a>(path: &'a str, directory: &str) -> &'a str {
    match path
        .strip_prefix(directory)
        .map(|rest| rest.trim_start_matches('/'))
    {
        Some("") => ".",
        Some(rest) => rest,
        None => path,
    }
}

fn one_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let more = line.len() > LONGEST || text.trim().lines().count() > 1;
    let line = head(line, LONGEST);
    if more {
        format!("{line} …")
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_title_says_what_is_done_to_what() {
        let title = |tool: &str, input: Value| title(tool, &input, "/workspace");
        assert_eq!(
            title("bash", json!({"command": "cargo test"})),
            "cargo test"
        );
        assert_eq!(
            title("bash", json!({"command": "\ncd x\ncargo test"})),
            "cd x …"
        );
        assert_eq!(
            title("read", json!({"filePath": "/workspace/src/lib.rs"})),
            "read src/lib.rs"
        );
        assert_eq!(title("list", json!({"path": "/workspace"})), "list .");
        assert_eq!(
            title("read", json!({"filePath": "/etc/hosts"})),
            "read /etc/hosts"
        );
        assert_eq!(
            title("grep", json!({"pattern": "fn main"})),
            "search for fn main"
        );
        assert_eq!(title("lab_echo", json!({"text": "x"})), "lab_echo");
        assert_eq!(title("bash", json!("not an object")), "bash");
    }

    #[test]
    fn what_a_sub_agent_does_is_told_with_its_purpose() {
        assert_eq!(
            sub_agent_title("find bugs (@general subagent)", "cargo test"),
            "find bugs: cargo test"
        );
    }
}
