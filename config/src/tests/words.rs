//! Words that an account adds, and words that are in their way.

use super::MINIMAL;
use super::problems::{one, problems};
use crate::{Config, OptOutPhrases, diff, parse};

/// The account's keys begin on line 10.
fn account(keys: &str) -> String {
    MINIMAL.replacen("[[carrier]]", &format!("{keys}\n[[carrier]]"), 1)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

const ALL: &str = "opt_out_keywords = [\"Go away!\", \"BYE\", \"bye.\", \"stop\"]\nopt_in_keywords = [\"JOIN\"]\n\
                   help_keywords = [\"Qu\u{e9}\"]\nconfirm_keywords = [\"OK\", \"yes\"]\nopt_out_phrases = \"flag\"";

#[test]
fn words_of_an_account_are_kept_as_texts_are_compared() {
    let config = good(&account(ALL));
    let words = &config.accounts[0].words;
    assert_eq!(words.opt_out_keywords, ["bye", "go away", "stop"]);
    assert_eq!(
        (&words.opt_in_keywords[0], &words.help_keywords[0]),
        (&"join".to_owned(), &"que".to_owned())
    );
    assert_eq!(words.confirm_keywords, ["ok", "yes"]);
    assert_eq!(words.opt_out_phrases, OptOutPhrases::Flag);
}

#[test]
fn each_list_is_a_change_of_its_own() {
    let (old, new) = (good(MINIMAL), good(&account(ALL)));
    let diff = diff(&old, &new);
    let keys: Vec<&str> = diff.changes().iter().map(|change| change.key.as_str()).collect();
    let of = |key| format!("account.example.{key}");
    let expected = [
        "opt_out_keywords",
        "opt_in_keywords",
        "help_keywords",
        "confirm_keywords",
        "opt_out_phrases",
    ];
    assert_eq!(keys, expected.map(of));
}

/// OPT-C33: STOP is no keyword of a service, END means nothing else, BYE may end a subscription as well.
#[test]
fn a_word_that_ends_a_subscription_means_nothing_else() {
    assert_eq!(problems(&account("opt_out_keywords = [\"BYE\"]")), []);
    for (keys, key, why) in [
        (
            "opt_in_keywords = [\"END\"]",
            "opt_in_keywords[0]",
            "(OPT-1, OPT-3)",
        ),
        (
            "help_keywords = [\"a\", \"Stop.\"]",
            "help_keywords[1]",
            "(OPT-1, OPT-3)",
        ),
        (
            "confirm_keywords = [\"\u{ff33}TOP\"]",
            "confirm_keywords[0]",
            "(OPT-1, OPT-3)",
        ),
        ("opt_in_keywords = [\"Sair\"]", "opt_in_keywords[0]", "(OPT-3)"),
        (
            "opt_in_keywords = [\"stop now\"]",
            "opt_in_keywords[0]",
            "(OPT-3)",
        ),
        (
            "opt_in_keywords = [\"take me off\"]",
            "opt_in_keywords[0]",
            "(OPT-3)",
        ),
        ("opt_out_keywords = [\"HELP\"]", "opt_out_keywords[0]", "(OPT-2)"),
        ("opt_out_keywords = [\"Start\"]", "opt_out_keywords[0]", "(OPT-2)"),
        ("opt_out_keywords = [\"yes\"]", "opt_out_keywords[0]", "(OPT-18)"),
        (
            "opt_out_keywords = [\"dont stop\"]",
            "opt_out_keywords[0]",
            "(OPT-8)",
        ),
        ("opt_out_keywords = [\"?!\"]", "opt_out_keywords[0]", "letter"),
        (
            "opt_out_keywords = [\"a b c d e f g h i j k l m n o p q r\"]",
            "opt_out_keywords[0]",
            "32",
        ),
        ("opt_out_phrases = \"ask\"", "opt_out_phrases", "\"flag\""),
    ] {
        one(&account(keys), &format!("account[0].{key}"), 10, why);
    }
    one(
        &account("opt_out_keywords = [\"bye\"]\nhelp_keywords = [\"Bye!\"]"),
        "account[0].help_keywords",
        11,
        "opt_out_keywords",
    );
    let many: Vec<String> = (0..65).map(|n| format!("\"k{n}\"")).collect();
    let many = format!("opt_out_keywords = [{}]", many.join(", "));
    one(&account(&many), "account[0].opt_out_keywords", 10, "64");
}

#[test]
fn keywords_of_routes_and_instructions_are_none_of_the_accounts_own_words() {
    let other = "[[account]]\nsystem_id = \"other\"\npassword_hashes = [\"$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0\"]";
    let words = "opt_out_keywords = [\"BYE\", \"go away\"]\nopt_in_keywords = [\"join\"]\n\
                 help_keywords = [\"que\"]\nconfirm_keywords = [\"ok\"]";
    let route = |of: &str, keyword: &str| {
        let route = "[[route.mo]]\nnumber = \"44\"";
        let keys = format!("{words}\n{other}");
        format!(
            "{}{route}\naccount = \"{of}\"\nkeywords = [\"taxi\", \"{keyword}\"]\n",
            account(&keys)
        )
    };
    for (keyword, word) in [
        ("Bye", "\"bye\""),
        ("by-e", ""),
        ("GO", "\"go away\""),
        ("join", "\"join\""),
        ("qu\u{e9}", "\"que\""),
        ("ok", ""),
        ("away", ""),
    ] {
        assert_eq!(
            problems(&route("other", keyword)),
            [],
            "of another account: {keyword}"
        );
        let text = route("example", keyword);
        if word.is_empty() {
            assert_eq!(problems(&text), [], "{keyword}");
            continue;
        }
        let line = text.lines().count();
        one(&text, "route.mo[1].keywords", line, word);
        one(&text, "route.mo[1].keywords", line, "OPT-2");
    }
    let rules = format!(
        "{}[[instructions]]\naccount = \"example\"\nversion = \"7\"\n[[instructions.rule]]\nkeywords = [\"bye\"]\n",
        account(words)
    );
    one(
        &rules,
        "instructions[0].rule[0].keywords",
        rules.lines().count(),
        "OPT-2",
    );
}
