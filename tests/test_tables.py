from csnln_mm.tables import format_table


def test_layout():
    assert format_table(('a', 'bb'), [('ccc', 'd')]) == 'a     bb\n--------\nccc    d'
    assert format_table(('a', 'bb'), [('ccc', 'd')], 'markdown') == (
        '| a   | bb |\n| :-- | -: |\n| ccc |  d |'
    )


def test_text_that_means_something_to_rich_stays():
    assert '[red]x[/] :smile:' in format_table(('a',), [('[red]x[/] :smile:',)])
