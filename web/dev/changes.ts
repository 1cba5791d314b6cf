/** Changes of the development peer's sessions: one of each kind that there is. */
import type { Changes, ChangesScope, PromptId } from "../ui/src/protocol.ts";

const VERSION = `@@ -1,6 +1,7 @@
 use std::cmp::Ordering;
+use std::iter::zip;
${" "}
 #[derive(Debug, Clone, PartialEq, Eq)]
 pub struct Version {
     pub major: u64,
     pub minor: u64,
@@ -38,10 +39,31 @@ impl fmt::Display for Version {
 }
${" "}
 impl Ord for Version {
     fn cmp(&self, other: &Self) -> Ordering {
-        (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch))
+        (self.major, self.minor, self.patch)
+            .cmp(&(other.major, other.minor, other.patch))
+            .then_with(|| precedence(&self.pre, &other.pre))
     }
 }
${" "}
+/// By SemVer's section 11: none is newer than any, then identifier by identifier.
+fn precedence(one: &[Identifier], other: &[Identifier]) -> Ordering {
+    match (one.is_empty(), other.is_empty()) {
+        (true, true) => Ordering::Equal,
+        (true, false) => Ordering::Greater,
+        (false, true) => Ordering::Less,
+        (false, false) => zip(one, other)
+            .map(|(one, other)| one.cmp(other))
+            .find(|order| order.is_ne())
+            .unwrap_or_else(|| one.len().cmp(&other.len())),
+    }
+}
+
 impl PartialOrd for Version {
     fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
         Some(self.cmp(other))
`;

const TEST = `@@ -0,0 +1,8 @@
+use semver_lite::Version;
+
+#[test]
+fn a_prerelease_is_older_than_its_release() {
+    let alpha: Version = "1.0.0-alpha".parse().unwrap();
+    let release: Version = "1.0.0".parse().unwrap();
+    assert!(alpha < release);
+}
\\ No newline at end of file
`;

const REMOVED = `@@ -1,3 +0,0 @@
-// Kept for the old parser.
-pub use crate::parse::legacy;
-
`;

export function mendedChanges(prompt: PromptId, scope: ChangesScope): Changes {
  const version = { path: "src/version.rs", change: "modified", additions: 18, deletions: 1, patch: { kind: "text", hunks: VERSION } } as const;
  if (scope === "prompt") return { prompt, scope, omitted: 0, files: [version] };
  return {
    prompt,
    scope,
    omitted: 0,
    files: [
      { path: "docs/precedence.md", previous: "docs/notes.md", change: "renamed", additions: 0, deletions: 0, patch: { kind: "text", hunks: "" } },
      { path: "src/legacy.rs", change: "deleted", additions: 0, deletions: 3, patch: { kind: "text", hunks: REMOVED } },
      version,
      { path: "tests/fixtures/precedence.bin", change: "added", patch: { kind: "binary" } },
      { path: "tests/fixtures/versions.json", change: "added", additions: 48_210, deletions: 0, patch: { kind: "too_large" } },
      { path: "tests/precedence.rs", change: "added", additions: 8, deletions: 0, patch: { kind: "text", hunks: TEST } },
    ],
  };
}
