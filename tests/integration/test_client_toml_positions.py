"""Where keys stand in a TOML file, whatever stands before them."""

import tomllib

from cluster.client.toml_positions import positions

TEXT = (
    '''# [jobs.no]
  [defaults] # of all
cpus = 1  # = 2

[jobs."a b"]
command = ["x", # ]
  "y]", """
[z]
"quoted" \\""" still
""", \'\'\'
key = 1\'\'\']
"max-output" = { a = "}", b = [1, 2] }
env . A = "\\"#"
[jobs.'c.d'] [[x]]
'''.replace(" [[x]]", "")
    + 'last = "é"'
)


def test_tables_and_keys_are_found_and_what_only_looks_like_them_is_not() -> None:
    assert tomllib.loads(TEXT)["jobs"]["a b"]["command"][1] == "y]"
    found = positions(TEXT)
    assert found == {
        ("defaults",): (2, 3),
        ("defaults", "cpus"): (3, 1),
        ("jobs",): (5, 1),
        ("jobs", "a b"): (5, 1),
        ("jobs", "a b", "command"): (6, 1),
        ("jobs", "a b", "max-output"): (12, 1),
        ("jobs", "a b", "env"): (13, 1),
        ("jobs", "a b", "env", "A"): (13, 1),
        ("jobs", "c.d"): (14, 1),
        ("jobs", "c.d", "last"): (15, 1),
    }


def test_an_empty_file_has_none() -> None:
    assert positions("# nothing\n\n") == {}
