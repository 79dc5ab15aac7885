"""What a search looks for."""

import pytest

from logs.reading.search import are_spaceless, spellings_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mend the gate", ["Mend", "the", "gate"]),
        ("feature/login_v1.2", ["feature", "login", "v1", "2"]),
        ("öffne 工程", ["öffne", "工程"]),
        ("gate fence GATE gate", ["gate", "fence"]),
        ("login画面の修正, v2リリース", ["login", "画面の修正", "v2", "リリース"]),
        ("แก้ไขหน้า login", ["แก้ไขหน้า", "login"]),
        ("修正・変更。", ["修正", "変更"]),
        ("-- ?", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_each_once(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    "word",
    [
        "修正",
        "ログ",
        "ひ",
        "ﾛｸﾞ",
        "バ",
        "𠮷",
        "々",
        "登录",
        "ㄅ",
        "แก้ไข",
        "ແກ້",
        "កែ",
        "ပြင်",
        "བོད",
        "로그인",
        "ᄀ",
        "v修",
    ],
)
def test_a_word_of_a_script_without_spaces_makes_a_search_spaceless(word):
    assert are_spaceless(["login", word])


def test_other_scripts_have_words():
    assert not are_spaceless(["login", "Öffne", "вход", "σύνδεση", "دخول", "כניסה", "लॉगिन", "ｌｏｇｉｎ", "7"])


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("ﾛｸﾞｲﾝ", "ログイン"),
        ("ログイン", "ﾛｸﾞｲﾝ"),
        ("バグ", "ハ\u3099ク\u3099"),
        ("ハ\u3099ク\u3099", "バグ"),
        ("パﾊﾟ", "パパ"),
        ("öffne", "Öffne"),
        ("Öffne", "öffne"),
    ],
)
def test_a_word_is_searched_for_in_each_form_that_unicode_has_for_it(word, other):
    assert spellings_of(word)[0] == word
    assert other in spellings_of(word)


def test_a_plain_word_has_one_form():
    assert spellings_of("Login") == ["Login"]
