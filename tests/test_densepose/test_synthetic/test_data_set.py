import json

import pytest

from mmdense.densepose.synthetic.data_set import (
    Journal,
    least_with_val,
    split_of,
    write_image,
)


def fill(journal, samples, indices):
    for index in indices:
        split = split_of(index, 0.5)
        journal.add(write_image(journal.folder, samples[index], index, split))


def read(folder):
    return {
        split: json.loads((folder / f'annotations/{split}.json').read_text())
        for split in ('train', 'val')
    }


def test_splits_are_evenly_spaced_whatever_the_number_of_images():
    splits = [split_of(index, 0.1) for index in range(1000)]
    assert splits.count('val') == 100
    assert all(splits[i : i + 10].count('val') == 1 for i in range(990))
    assert {split_of(i, 0.0) for i in range(50)} == {'train'}
    assert {split_of(i, 1.0) for i in range(50)} == {'val'}


@pytest.mark.parametrize(
    'fraction', [1, 0.9, 0.5, 0.34, 0.3, 0.1, 0.025, 1e-3]
)
def test_least_number_of_images_with_one_for_validation(fraction):
    splits = [split_of(index, fraction) for index in range(1500)]
    assert least_with_val(fraction) == splits.index('val') + 1


def test_a_killed_run_is_continued(tmp_path, samples):
    whole = Journal(tmp_path / 'whole', {'seed': 1})
    fill(whole, samples, range(6))
    whole.join(6)
    whole.close()

    first = Journal(tmp_path / 'parts', {'seed': 1})
    fill(first, samples, [1, 0, 2])
    first.close()
    with first.path.open('ab') as file:
        file.write(b'{"index": 3, "split": "tr')
    second = Journal(tmp_path / 'parts', {'seed': 1})
    assert sorted(second.places) == [0, 1, 2]
    fill(second, samples, [5, 4, 3])
    people = second.join(6)
    assert read(tmp_path / 'parts') == read(tmp_path / 'whole')
    content = read(tmp_path / 'parts')
    assert people == {s: len(content[s]['annotations']) for s in content}
    assert [image['id'] for image in content['val']['images']] == [2, 4, 6]
    for split, part in content.items():
        for image in part['images']:
            assert (tmp_path / 'parts' / split / image['file_name']).is_file()


def test_fewer_images_than_there_are(tmp_path, samples):
    journal = Journal(tmp_path, {'seed': 1})
    fill(journal, samples, range(4))
    journal.join(2)
    ids = [i['id'] for part in read(tmp_path).values() for i in part['images']]
    assert ids == [1, 2]


def test_other_options_are_refused(tmp_path):
    Journal(tmp_path, {'seed': 1, 'size': 64}).close()
    Journal(tmp_path, {'seed': 1, 'size': 64}).close()
    with pytest.raises(ValueError, match='size: 64 there, 128 now'):
        Journal(tmp_path, {'seed': 1, 'size': 128})
