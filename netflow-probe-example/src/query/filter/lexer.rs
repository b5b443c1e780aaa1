//! From the text of a filter to its tokens; included files among them.

use super::error::{FilterError, Place};

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) place: Place,
}

/// Reads an included file.
pub(super) type Load<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Files that include files, at most.
const DEPTH: usize = 8;
/// Tokens of a filter, with all that it includes.
const TOKENS: usize = 4_000_000;
/// Characters that are tokens of their own.
const PUNCTUATION: &[char] = &['(', ')', '[', ']', ','];
/// Characters of comparisons and of the operators between tests.
const OPERATORS: &[char] = &['=', '<', '>', '!', '&', '|'];

/// The tokens of a text. `#` begins a comment; `@include FILE` stands for the tokens of that file.
pub(super) fn tokens(text: &str, load: Load<'_>) -> Result<(Vec<Token>, Place), FilterError> {
    let mut lexer = Lexer { tokens: Vec::new(), load };
    let end = lexer.read(text, None, 0)?;
    Ok((lexer.tokens, end))
}

struct Lexer<'a> {
    tokens: Vec<Token>,
    load: Load<'a>,
}

impl Lexer<'_> {
    /// Reads a text; returns the place behind it.
    fn read(&mut self, text: &str, file: Option<&str>, depth: usize) -> Result<Place, FilterError> {
        let place = |line: usize, column: usize| Place { file: file.map(ToOwned::to_owned), line, column };
        let mut end = place(1, 1);
        for (index, content) in text.lines().enumerate() {
            let content = content.split_once('#').map_or(content, |(before, _)| before);
            let mut rest = content;
            // Columns count characters.
            let column = |rest: &str| content.chars().count() - rest.chars().count() + 1;
            loop {
                rest = rest.trim_start();
                let place = place(index + 1, column(rest));
                let length = length_of_token(rest);
                if length == 0 {
                    end = place;
                    break;
                }
                let (token, behind) = rest.split_at(length);
                rest = behind;
                if !token.eq_ignore_ascii_case("@include") {
                    self.push(token, place)?;
                    continue;
                }
                // A name of a file may hold anything but white space; in quotes, that as well.
                rest = rest.trim_start();
                let (name, behind) = file_name(rest);
                if name.is_empty() {
                    return Err(FilterError::new(&place, "`@include` without the name of a file behind it"));
                }
                self.include(name, &place, depth)?;
                rest = behind;
            }
        }
        Ok(end)
    }

    fn push(&mut self, text: &str, place: Place) -> Result<(), FilterError> {
        if self.tokens.len() >= TOKENS {
            return Err(FilterError::new(&place, format!("the filter has more than {TOKENS} words")));
        }
        self.tokens.push(Token { text: text.to_owned(), place });
        Ok(())
    }

    fn include(&mut self, name: &str, place: &Place, depth: usize) -> Result<(), FilterError> {
        if depth >= DEPTH {
            return Err(FilterError::new(place, format!("files that include files, more than {DEPTH} deep")));
        }
        let text = (self.load)(name).map_err(|error| FilterError::new(place, format!("{name}: {error}")))?;
        self.read(&text, Some(name), depth + 1).map(drop)
    }
}

/// Octets of the token that a text begins with.
fn length_of_token(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    if PUNCTUATION.contains(&first) {
        return first.len_utf8();
    }
    let is_operator = OPERATORS.contains(&first);
    let ends = |char: char| {
        char.is_whitespace() || PUNCTUATION.contains(&char) || OPERATORS.contains(&char) != is_operator
    };
    let mut length = text.find(ends).unwrap_or(text.len());
    if is_operator {
        // `!!` are two operators, `>=`, `!=` and `&&` are one.
        let two = ["==", "<=", ">=", "!=", "&&", "||"].iter().any(|operator| text.starts_with(operator));
        length = if two { 2 } else { 1 };
    }
    length
}

fn file_name(text: &str) -> (&str, &str) {
    if let Some(quoted) = text.strip_prefix('"')
        && let Some((name, behind)) = quoted.split_once('"')
    {
        return (name, behind);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    // In a list the bracket may follow at once.
    let end = text.get(..end).and_then(|name| name.strip_suffix([']', ')'])).map_or(end, str::len);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let load =
            |name: &str| if name == "list" { Ok("1 # one\n2".to_owned()) } else { Err("no".to_owned()) };
        tokens(text, &load).unwrap().0.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_operators_comments_and_files() {
        assert_eq!(
            texts("src port>=80 and(proto tcp) # x"),
            ["src", "port", ">=", "80", "and", "(", "proto", "tcp", ")"]
        );
        assert_eq!(texts("port in [@include list]"), ["port", "in", "[", "1", "2", "]"]);
        assert_eq!(texts("!!any&&any||any"), ["!", "!", "any", "&&", "any", "||", "any"]);
        assert_eq!(texts("net 2001:db8::/32,10.0.0.0/8"), ["net", "2001:db8::/32", ",", "10.0.0.0/8"]);
    }

    #[test]
    fn errors_name_the_place_in_the_file() {
        let error = tokens("any or\n  @include list2", &|_| Err("not found".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 3: list2: not found");
        let nested = tokens("@include a", &|_| Ok("@include a".to_owned())).unwrap_err();
        assert_eq!(nested.to_string(), "a, line 1, column 1: files that include files, more than 8 deep");
    }
}
