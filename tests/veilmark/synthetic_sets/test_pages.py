"""Ordering a synthetic set through the page."""

import pytest

from veilmark.synthetic_sets.views import totals

BAD = {
    "nothing": ({"n_images": "0"}, "greater than or equal to 1"),
    "too much": ({"n_images": "1000000"}, "number of images: is 1000000; ask for 1 to 100,000"),
    "counts without n": ({"counts": "label,sex\nnodule,F"}, "counts: a row is no label, sex, age_group and n"),
    "counts below 0": ({"counts": "label,n\nnodule,-5"}, "number of images: is -5"),
    "no number": ({"seed": "many"}, "Enter a whole number."),
    "a label that is none": ({"visible_label": "everywhere"}, "Select a valid choice."),
    "a label that would hide the image": (
        {"visible_label": "burned-in"},
        "a label burned into 64 x 64 pixels would hide what they show; use a border or an overlay under 128 pixels",
    ),
}


def test_images_are_ordered_evenly_or_by_counts(people, training_run, visit):
    from veilmark.synthetic_sets.models import SyntheticSet

    address = f"/synthetic-sets/new/{training_run.pk}/"
    visit(people.custodian, address, {"n_images": "10", "counts": "", "seed": "4"})
    even = SyntheticSet.objects.get(seed=4)
    assert (even.n_images, {cell["label"] for cell in even.counts}) == (10, {"nodule", "normal"})
    counts = "label,sex,age_group,n\nnodule,F,,7\nnormal,M,,2\n"
    visit(people.custodian, address, {"n_images": "10", "counts": counts, "seed": "5"})
    assert SyntheticSet.objects.get(seed=5).n_images == 9


@pytest.mark.parametrize(("changed", "line"), BAD.values(), ids=BAD)
def test_a_bad_order_is_one_line(people, training_run, visit, changed, line):
    from veilmark.synthetic_sets.models import SyntheticSet

    sent = {"n_images": "10", "counts": "", "seed": "0"} | changed
    response = visit(people.custodian, f"/synthetic-sets/new/{training_run.pk}/", sent)
    assert response.status_code == 400
    assert line in response.content.decode()
    assert not SyntheticSet.objects.exists()


@pytest.mark.parametrize("label", ["none", "border", "overlay", "burned-in"])
def test_a_visible_label_is_asked_for_and_shown(people, training_run, visit, label):
    from veilmark.synthetic_sets.models import SyntheticSet

    training_run.image_size = 128
    training_run.save()
    sent = {"n_images": "10", "counts": "", "seed": "0", "visible_label": label}
    visit(people.custodian, f"/synthetic-sets/new/{training_run.pk}/", sent)
    made = SyntheticSet.objects.get()
    shown = visit(people.custodian, f"/synthetic-sets/{made.pk}/").content.decode()
    assert made.visible_label == label
    assert f"<dt>Visible label</dt><dd>{made.get_visible_label_display()}</dd>" in shown


def test_readers_never_see_the_contact_sheet(people, synthetic_set, visit):
    """Who knows the synthetic images cannot judge them blinded."""
    response = visit(people.clinician, f"/synthetic-sets/{synthetic_set.pk}/preview.png")
    assert response.status_code == 403
    assert "is kept from readers" in response.content.decode()
    assert "Contact sheet" not in visit(people.clinician, f"/synthetic-sets/{synthetic_set.pk}/").content.decode()


def test_totals_leave_out_what_is_not_conditioned_on():
    cells = [
        {"label": "nodule", "sex": "F", "age_group": "", "n": 3},
        {"label": "normal", "sex": "F", "age_group": "", "n": 2},
        {"label": "normal", "sex": "M", "age_group": "", "n": 1},
    ]
    assert totals(cells) == [("Label", [("nodule", 3), ("normal", 3)]), ("Sex", [("F", 5), ("M", 1)])]
