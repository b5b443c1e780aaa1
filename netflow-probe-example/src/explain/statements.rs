//! Statements of JunOS: words that lead through a hierarchy, from either way of writing it.
//!
//! ```text
//! forwarding-options { sampling { input { rate 100; } } }
//! set forwarding-options sampling input rate 100
//! ```

/// The most words of a statement; what stands deeper has no meaning here.
const MAX_WORDS: usize = 64;

/// Calls `each` with the line and the words of every statement, in order. What is not one is `strange`, with the reason.
///
/// Statements of blocks that are empty are told, too.
pub(super) fn statements<'a>(
    text: &'a str,
    mut each: impl FnMut(usize, &[&'a str]),
    mut strange: impl FnMut(usize, &'static str),
) {
    let mut walk = Walk { words: Vec::new(), blocks: Vec::new(), line: 0, is_full: false };
    let mut in_comment = false;
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = Words { rest: line, in_comment };
        if walk.is_between() && !in_comment {
            let first = line.split_whitespace().next();
            match first {
                Some("set") => {
                    let all: Vec<&str> = words.by_ref().skip(1).take(MAX_WORDS).collect();
                    in_comment = words.in_comment;
                    each(number, &all);
                    continue;
                }
                Some(
                    "delete" | "deactivate" | "activate" | "protect" | "annotate" | "edit" | "top" | "up",
                ) => {
                    strange(number, "only what is set is understood, not what changes it");
                    continue;
                }
                _ => {}
            }
        }
        for word in words.by_ref() {
            walk.word(number, word, &mut each, &mut strange);
        }
        in_comment = words.in_comment;
    }
    if !walk.is_between() {
        strange(walk.line.max(1), "a block or a statement that begins here does not end");
    }
}

/// Where in the hierarchy the reading is.
struct Walk<'a> {
    words: Vec<&'a str>,
    /// How many of the words are of the blocks around, for each block; and whether something stood in it.
    blocks: Vec<(usize, bool)>,
    /// Where the statement begins.
    line: usize,
    is_full: bool,
}

impl<'a> Walk<'a> {
    fn is_between(&self) -> bool {
        self.words.is_empty() && self.blocks.is_empty()
    }

    fn outer(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.0)
    }

    fn word(
        &mut self,
        line: usize,
        word: &'a str,
        each: &mut impl FnMut(usize, &[&'a str]),
        strange: &mut impl FnMut(usize, &'static str),
    ) {
        match word {
            ";" => {
                self.statement(each, strange);
                self.words.truncate(self.outer());
            }
            "{" => {
                self.note_content();
                if self.blocks.len() < 4 * MAX_WORDS {
                    self.blocks.push((self.words.len(), false));
                } else {
                    strange(line, "too many blocks within one another");
                }
            }
            "}" => {
                if self.words.len() > self.outer() {
                    // The last statement of a block may lack its semicolon.
                    self.statement(each, strange);
                    self.words.truncate(self.outer());
                }
                match self.blocks.pop() {
                    None => strange(line, "a block ends that has not begun"),
                    Some((_, has_content)) => {
                        if !has_content {
                            each(self.line.max(1), &self.words);
                        }
                        self.words.truncate(self.outer());
                    }
                }
            }
            _ => {
                if self.words.len() == self.outer() {
                    self.line = line;
                }
                if self.words.len() < MAX_WORDS {
                    self.words.push(word);
                } else {
                    self.is_full = true;
                }
            }
        }
    }

    fn note_content(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.1 = true;
        }
    }

    fn statement(
        &mut self,
        each: &mut impl FnMut(usize, &[&'a str]),
        strange: &mut impl FnMut(usize, &'static str),
    ) {
        self.note_content();
        if self.words.len() > self.outer() {
            each(self.line, &self.words);
        }
        if core::mem::take(&mut self.is_full) {
            strange(self.line, "the statement has too many words");
        }
    }
}

/// Words of a line, and `;`, `{`, `}` alone. Brackets around lists are left out.
struct Words<'a> {
    rest: &'a str,
    in_comment: bool,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            if self.in_comment {
                let Some((_, behind)) = self.rest.split_once("*/") else {
                    self.rest = "";
                    return None;
                };
                (self.rest, self.in_comment) = (behind, false);
            }
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == '[' || c == ']');
            if self.rest.starts_with('#') {
                self.rest = "";
            }
            if let Some(behind) = self.rest.strip_prefix("/*") {
                (self.rest, self.in_comment) = (behind, true);
                continue;
            }
            break;
        }
        let first = self.rest.chars().next()?;
        let length = match first {
            ';' | '{' | '}' => 1,
            '"' => {
                let inner = self.rest.get(1..).unwrap_or_default();
                let (word, behind) = inner.split_once('"').unwrap_or((inner, ""));
                self.rest = behind;
                return Some(word);
            }
            _ => self
                .rest
                .find(|c: char| c.is_whitespace() || [';', '{', '}', ']', '"'].contains(&c))
                .unwrap_or(self.rest.len()),
        };
        let (word, behind) = self.rest.split_at(length);
        self.rest = behind;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (Vec<String>, Vec<usize>) {
        let mut found = Vec::new();
        let mut odd = Vec::new();
        statements(
            text,
            |line, words| found.push(format!("{line} {}", words.join(" "))),
            |line, _| odd.push(line),
        );
        (found, odd)
    }

    #[test]
    fn both_ways_of_writing_give_the_same_words() {
        let braces = "a {\n b { c 1; d [ x y ]; }\n /* not\n this; */ e; # nor this\n f { }\n}\n";
        let (found, odd) = all(braces);
        assert_eq!(found, ["2 a b c 1", "2 a b d x y", "4 a e", "5 a f"]);
        assert!(odd.is_empty());
        let (found, odd) = all("set a b c 1\nset a b d [ x y ]\nset a \"e f\"\n");
        assert_eq!(found, ["1 a b c 1", "2 a b d x y", "3 a e f"]);
        assert!(odd.is_empty());
    }

    #[test]
    fn what_does_not_end_or_begin_is_told() {
        assert_eq!(all("a {\n b;\n").1, [2]);
        assert_eq!(all("}\n").1, [1]);
        assert_eq!(all("delete a b\n").1, [1]);
        assert_eq!(all(&"{".repeat(10_000)).1.len(), 10_000 - 4 * MAX_WORDS + 1);
    }
}
