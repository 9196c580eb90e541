//! Words of others, made harmless to a terminal.

/// A text as it may be shown to people: control characters, those that turn the direction of writing, and those that have
/// no width are replaced, so that nobody's words steer a terminal or pass for other words. Tabs and line ends stay.
#[must_use]
pub fn printable(text: &str) -> String {
    text.replace("\r\n", "\n").chars().map(|character| if steers(character) { '\u{fffd}' } else { character }).collect()
}

/// Whether a terminal or the eye is led astray by a character.
#[must_use]
pub fn steers(character: char) -> bool {
    (character.is_control() && !matches!(character, '\t' | '\n'))
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_the_eye_is_replaced_and_all_else_stays() {
        assert_eq!(printable("\u{1b}[2J \u{9b}1m \r \u{8}\u{7f} \u{202e}x\u{2066} \u{200b}"), "�[2J �1m � �� �x� �");
        let harmless = "tab\tand\nline, ünïcödé 🦀 “quoted”";
        assert_eq!(printable(harmless), harmless);
        assert_eq!(printable("of another\r\nsystem"), "of another\nsystem");
    }
}
