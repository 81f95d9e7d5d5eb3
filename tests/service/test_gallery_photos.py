"""Photos and galleries over HTTP: enrol, identify, verify; what is refused, and what is said of it."""

import base64
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from errno import ENOSPC
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from odd_images import blurred, plain, two_faces
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.audit.chain import ChainReader
from service.audit.log import AuditLog
from service.settings import Settings

Photos = dict[str, bytes]


def enrol(gallery_client: httpx2.Client, person: str, *images: bytes, **options: str) -> httpx2.Response:
    key = {"Idempotency-Key": options.pop("key")} if "key" in options else {}
    return gallery_client.post(
        f"{person}/photos", files=[("image", each) for each in images], data=options, headers=key
    )


def identify(gallery_client: httpx2.Client, gallery: str, probe: bytes, **options: object) -> dict[str, Any]:
    answer = gallery_client.post(f"{gallery}/identify", files={"probe": probe}, params=options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_an_enrolled_person_is_identified_and_nobody_else(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    done = enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"])
    assert done.status_code == 200
    assert (
        done.headers["etag"]
        == done.json()["person"]["etag"]
        == gallery_client.get(f"{gallery}/people/p1").headers["etag"]
    )
    enrol(gallery_client, f"{gallery}/people/p2", photos["005-neutral"])
    answer = identify(gallery_client, gallery, photos["001-smiling"])
    (face,) = answer["faces"]
    assert (face["person"], face["candidates"][0]["person"], face["candidates"][0]["match"]) == ("p1", "p1", True)
    assert face["candidates"][0]["template"] == done.json()["enrolled"][0]
    assert [each["match"] for each in face["candidates"]] == [True, False]
    assert (face["claim"]["n_templates"], face["claim"]["fpir"] <= 0.01) == (2, True)
    for each in face["candidates"]:
        assert each["match"] == (each["normalized_distance"] < face["claim"]["threshold"])
        assert f"{each['normalized_distance']:.4f}" in each["reason"]
    assert answer["model"]["digest"] in gallery_client.get(gallery).json()["n_templates"]
    (stranger,) = identify(gallery_client, gallery, photos["041-neutral"])["faces"]
    assert (stranger["person"], [each["match"] for each in stranger["candidates"]]) == (None, [False, False])


def test_an_empty_gallery_identifies_nobody(gallery_client: httpx2.Client, gallery: str, photos: Photos) -> None:
    (face,) = identify(gallery_client, gallery, photos["001-smiling"])["faces"]
    assert (face["person"], face["candidates"], face["claim"]) == (None, [], None)


def test_every_face_of_a_picture_is_identified(gallery_client: httpx2.Client, gallery: str, photos: Photos) -> None:
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"])
    answer = identify(gallery_client, gallery, two_faces(), face="all")
    assert [each["person"] for each in answer["faces"]].count("p1") == 1
    assert len(answer["faces"]) == 2
    assert [each["sample"]["choice"] for each in answer["faces"]] == ["all", "all"]
    assert identify(gallery_client, gallery, plain(), face="all")["faces"] == []


def test_the_options_of_an_identification_are_taken_in_each_form(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    for name in ("001", "005", "041"):
        enrol(gallery_client, f"{gallery}/people/{name}", photos[f"{name}-neutral"])
    options = {"limit": 2, "fpir": 0.05, "prior": 0.25, "face": "largest"}
    probe = photos["001-smiling"]
    form = gallery_client.post(f"{gallery}/identify", files={"probe": probe}, data=options).json()
    body = {"probe": base64.b64encode(probe).decode(), **options}
    for answer in (
        form,
        gallery_client.post(f"{gallery}/identify", json=body).json(),
        identify(gallery_client, gallery, probe, **options),
    ):
        (face,) = answer["faces"]
        assert (len(face["candidates"]), face["prior"], face["sample"]["choice"]) == (2, 0.25, "largest")
        assert face["claim"] == form["faces"][0]["claim"]


@pytest.mark.parametrize(
    ("options", "word"),
    [({"fpir": 0}, "fpir"), ({"fpir": 1}, "fpir"), ({"fpir": "nan"}, "fpir"), ({"prior": 1}, "prior"),
     ({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"face": "any"}, "face"), ({"threshold": 1}, "threshold")],
)  # fmt: skip
def test_odd_options_are_refused_by_name(
    gallery_client: httpx2.Client, gallery: str, photos: Photos, options: dict[str, object], word: str
) -> None:
    answer = gallery_client.post(f"{gallery}/identify", files={"probe": photos["001-neutral"]}, params=options)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert word in answer.json()["detail"]


def test_a_claim_without_evidence_is_refused_with_what_could_be_claimed(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"])
    answer = gallery_client.post(f"{gallery}/identify", files={"probe": photos["001-smiling"]}, params={"fpir": 1e-12})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["largest_n"]) == (422, "claim_unavailable", 0)
    assert 0 < problem["strictest_fpir"] < 0.01
    carried = identify(gallery_client, gallery, photos["001-smiling"], fpir=problem["strictest_fpir"])
    assert carried["faces"][0]["claim"]["fpir"] == pytest.approx(problem["strictest_fpir"])


def test_photos_are_enrolled_all_or_none_and_each_refusal_is_told(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    person = f"{gallery}/people/p1"
    answer = enrol(gallery_client, person, photos["001-neutral"], plain(), two_faces(), blurred(20), b"no image")
    assert (answer.status_code, answer.json()["code"]) == (422, "enrolment_refused")
    told = {(each["photo"], each["code"]) for each in answer.json()["refusals"]}
    assert {(1, "no_face"), (2, "several_faces"), (3, "low_quality"), (4, "not_an_image")} <= told
    assert 0 not in {photo for photo, _ in told}
    assert gallery_client.get(person).json()["code"] == "no_such_person"
    assert gallery_client.get(gallery).json()["n_people"] == 0


CONSENT = {"reference": "form 7", "given_on": "2026-11-28"}
LONG = "\u8bf4\U0001f642" * 1000  # 2,000 characters, which JSON may write as 18 bytes for each two


def facts_of(gallery_client: httpx2.Client, person: str) -> tuple[object, ...]:
    told = gallery_client.get(person).json()
    return told["note"], told["consent"], told["forget_at"]


@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("form", ["form", "json"])
def test_facts_are_enrolled_with_the_photos(
    gallery_client: httpx2.Client, gallery: str, photos: Photos, form: str, *, is_ascii: bool
) -> None:
    person, forget_at = f"{gallery}/people/p1", "2099-01-01T00:00:00Z"
    consent = CONSENT | {"reference": LONG}
    facts = {"note": LONG, "consent": json.dumps(consent, ensure_ascii=is_ascii), "forget_at": forget_at}
    if form == "form":
        answer = enrol(gallery_client, person, photos["001-neutral"], **facts)
    else:
        image = base64.b64encode(photos["001-neutral"]).decode()
        body = json.dumps(facts | {"consent": consent, "image": image}, ensure_ascii=is_ascii).encode()
        answer = gallery_client.post(f"{person}/photos", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert facts_of(gallery_client, person) == (LONG, consent, forget_at)
    assert answer.json()["person"]["consent"] == consent


def test_facts_that_are_left_out_stay(gallery_client: httpx2.Client, gallery: str, photos: Photos) -> None:
    person = f"{gallery}/people/p1"
    enrol(gallery_client, person, photos["001-neutral"], consent=json.dumps(CONSENT), forget_at="2099-01-01T00:00:00Z")
    enrol(gallery_client, person, photos["001-smiling"], note="south")
    assert facts_of(gallery_client, person) == ("south", CONSENT, "2099-01-01T00:00:00Z")
    enrol(gallery_client, person, photos["001-smiling"], note="north")  # the same photo is no new template
    enrol(gallery_client, person, photos["001-smiling"])
    assert facts_of(gallery_client, person) == ("north", CONSENT, "2099-01-01T00:00:00Z")
    assert len(gallery_client.get(person).json()["templates"]) == 2


def test_facts_of_refused_photos_are_not_written(gallery_client: httpx2.Client, gallery: str, photos: Photos) -> None:
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"], note="before")
    assert enrol(gallery_client, f"{gallery}/people/p1", photos["005-neutral"], note="after").status_code == 422
    assert facts_of(gallery_client, f"{gallery}/people/p1")[0] == "before"
    assert enrol(gallery_client, f"{gallery}/people/p2", plain(), note="after").status_code == 422
    assert gallery_client.get(f"{gallery}/people/p2").status_code == 404


@pytest.mark.parametrize(
    ("facts", "code", "word"),
    [
        ({"consent": "form 7"}, "malformed_request", "JSON"),
        ({"consent": "[" * 5000}, "malformed_request", "JSON"),
        ({"consent": '{"reference": "7", "reference": "8", "given_on": "2026-11-28"}'}, "malformed_request", "once"),
        ({"consent": '{"reference": "7"}'}, "malformed_request", "given_on"),
        ({"note": "x" * 2001}, "malformed_request", "2000"),
        ({"note": "x" * 30_000}, "malformed_request", "longer than"),
        ({"note": b"\xff"}, "malformed_request", "UTF-8"),
        ({"forget_at": "2099-01-01"}, "malformed_request", "forget_at"),
        ({"forget_at": "2020-01-01T00:00:00Z"}, "invalid_value", "later"),
    ],
)
def test_a_fact_that_is_none_enrols_nothing(
    gallery_client: httpx2.Client, gallery: str, photos: Photos, facts: dict[str, Any], code: str, word: str
) -> None:
    answer = enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"], **facts)
    assert (answer.json()["code"], word in answer.json()["detail"]) == (code, True), answer.text
    assert gallery_client.get(f"{gallery}/people/p1").status_code == 404


def test_a_fact_in_an_address_or_given_twice_is_refused(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    person = f"{gallery}/people/p1"
    probe = {"image": photos["001-neutral"]}
    in_address = gallery_client.post(f"{person}/photos", files=probe, params={"note": "north"})
    assert "unknown query option 'note'" in in_address.json()["detail"]
    image = base64.b64encode(photos["001-neutral"]).decode()
    for text in (
        '{"reference": "7", "reference": "8", "given_on": "2026-11-28"}',
        f'{{"reference": "{"7" * 30_000}"}}',
    ):
        body = f'{{"image": "{image}", "consent": {text}}}'
        answer = gallery_client.post(f"{person}/photos", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, answer.text
    assert gallery_client.get(person).status_code == 404


def test_photos_of_two_people_are_not_one_person(gallery_client: httpx2.Client, gallery: str, photos: Photos) -> None:
    answer = enrol(
        gallery_client, f"{gallery}/people/p1", photos["001-neutral"], photos["001-smiling"], photos["005-neutral"]
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "another_person")
    assert [each["photo"] for each in answer.json()["refusals"]] == [2]


def test_somebody_who_is_enrolled_under_another_id_is_refused_unless_the_caller_insists(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"])
    again = enrol(gallery_client, f"{gallery}/people/p2", photos["001-smiling"])
    assert (again.status_code, again.json()["code"]) == (422, "already_enrolled")
    assert again.json()["refusals"][0]["person"] == "p1"
    insisted = enrol(gallery_client, f"{gallery}/people/p2", photos["001-smiling"], allow_duplicate="true")
    assert insisted.status_code == 200


def test_a_photo_that_is_sent_again_is_no_second_template(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    first = enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"]).json()
    again = enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"], photos["001-smiling"]).json()
    assert again["already_there"] == first["enrolled"]
    assert len(again["enrolled"]) == 1
    assert len(again["person"]["templates"]) == 2


def test_a_repeated_key_enrols_once_and_gets_the_same_answer(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    person, key = f"{gallery}/people/p1", str(uuid4())
    first = enrol(gallery_client, person, photos["001-neutral"], key=key)
    again = enrol(gallery_client, person, photos["001-neutral"], key=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() | {"request_id": 0} == first.json() | {"request_id": 0}
    other = enrol(gallery_client, person, photos["001-smiling"], key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert len(gallery_client.get(person).json()["templates"]) == 1


def test_the_same_key_at_once_enrols_once(gallery_client: httpx2.Client, gallery: str, photos: Photos) -> None:
    person, key = f"{gallery}/people/p1", str(uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: enrol(gallery_client, person, photos["001-neutral"], key=key), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(gallery_client.get(person).json()["templates"]) == 1


def test_a_gallery_or_person_that_is_missing_is_told(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    probe = {"probe": photos["001-neutral"]}
    nowhere = enrol(gallery_client, "/v1/galleries/nowhere/people/p1", photos["001-neutral"])
    assert nowhere.json()["code"] == "no_such_gallery"
    assert gallery_client.post("/v1/galleries/nowhere/identify", files=probe).json()["code"] == "no_such_gallery"
    assert gallery_client.post(f"{gallery}/people/p1/verify", files=probe).json()["code"] == "no_such_person"
    gallery_client.put(f"{gallery}/people/p1")
    assert gallery_client.post(f"{gallery}/people/p1/verify", files=probe).json()["code"] == "no_such_template"


def test_a_photo_is_compared_with_a_person_as_verify_does(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"])
    for name, same in (("001-smiling", True), ("005-neutral", False)):
        options = {"operating_point": "fmr-1e-4", "prior": 0.25}
        found = gallery_client.post(f"{gallery}/people/p1/verify", files={"probe": photos[name]}, params=options).json()
        pair = {"probe": photos[name], "reference": photos["001-neutral"]}
        verified = gallery_client.post("/v1/verify", files=pair, params=options).json()
        assert found["same"] is verified["same"] is same
        shared = ("threshold", "threshold_reason", "operating_point", "prior", "quality", "probe", "model")
        assert {key: found[key] for key in shared} == {key: verified[key] for key in shared}
        assert found["distance"] == pytest.approx(verified["distance"], abs=1e-5)


def test_a_forgotten_person_is_identified_no_more(gallery_client: httpx2.Client, gallery: str, photos: Photos) -> None:
    enrolled = enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"]).json()
    enrol(gallery_client, f"{gallery}/people/p2", photos["005-neutral"])
    template = f"{gallery}/people/p1/templates/{enrolled['enrolled'][0]}"
    receipt = gallery_client.delete(template).json()
    assert (receipt["kind"], receipt["n_people"], receipt["n_templates"]) == ("template", 0, 1)
    assert gallery_client.delete(template).json()["code"] == "no_such_template"
    (face,) = identify(gallery_client, gallery, photos["001-smiling"])["faces"]
    assert [each["person"] for each in face["candidates"]] == ["p2"]
    assert gallery_client.delete(f"{gallery}/people/p2").json()["n_templates"] == 1
    assert identify(gallery_client, gallery, photos["005-smiling"])["faces"][0]["candidates"] == []


def test_audit_log_metrics_and_logs_have_counts_and_no_name(
    gallery_client: httpx2.Client,
    gallery_app: FastAPI,
    gallery_folder: Path,
    photos: Photos,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    name = "alice-smith-1999"
    url = f"/v1/galleries/{name}"
    gallery_client.put(url)
    gallery_client.put(f"{url}/people/{name}", json={"note": name})
    enrolled = enrol(gallery_client, f"{url}/people/{name}", photos["001-neutral"]).json()
    identify(gallery_client, url, photos["001-smiling"])
    gallery_client.post(f"{url}/people/{name}/verify", files={"probe": photos["001-smiling"]})
    enrol(gallery_client, f"{url}/people/other", photos["001-smiling"])
    gallery_client.delete(f"{url}/people/{name}/templates/{enrolled['enrolled'][0]}")
    gallery_client.delete(url)
    lines = [dict(line.fields) for line in ChainReader(gallery_folder / "audit") if line.fields["event"] == "request"][
        -8:
    ]
    assert [(line["route"].removeprefix("/v1/galleries/{gallery}"), line["status"]) for line in lines] == [
        ("", 201), ("/people/{person}", 201), ("/people/{person}/photos", 200), ("/identify", 200),
        ("/people/{person}/verify", 200), ("/people/{person}/photos", 422),
        ("/people/{person}/templates/{template}", 200), ("", 200),
    ]  # fmt: skip
    assert lines[2]["decided"] == {"n_enrolled": 1, "n_already_there": 0}
    found = lines[3]["considered"]
    assert (found["n_templates"], found["n_candidates"], len(found["distances"])) == (1, [1], 1)
    assert 0 < found["fpir"] <= 0.01
    assert lines[3]["decided"]["identified"] == [True]
    assert lines[4]["decided"]["same"] == [True]
    assert lines[5]["problem"]["code"] == "already_enrolled"
    assert lines[6]["decided"] == {"forgotten": "template", "n_people_forgotten": 0, "n_templates_forgotten": 1}
    metrics = gallery_app.state.metrics.text().decode()
    assert 'visavis_identified_faces_total{outcome="match"}' in metrics
    assert 'visavis_enrolled_photos_total{outcome="new"}' in metrics
    assert 'visavis_forgotten_templates_total{kind="template"}' in metrics
    assert 'visavis_gallery{kind="templates"}' in metrics
    ours = "\n".join(each.getMessage() for each in caplog.records if each.name.startswith("visavis"))
    assert "/v1/galleries/{gallery}" in ours
    for text in (json.dumps(lines), metrics, ours):
        assert name not in text
        assert enrolled["enrolled"][0] not in text


def test_each_photo_that_an_enrolment_refuses_counts_once_by_its_reason(
    gallery_client: httpx2.Client, gallery_app: FastAPI, gallery: str, photos: Photos
) -> None:
    def count(code: str) -> float:
        return (
            gallery_app.state.metrics.registry.get_sample_value("visavis_refused_images_total", {"code": code}) or 0.0
        )

    before = {code: count(code) for code in ("another_person", "not_an_image", "already_enrolled")}
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"], b"none")
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"], photos["001-smiling"], photos["005-neutral"])
    enrol(gallery_client, f"{gallery}/people/p1", photos["001-neutral"])
    enrol(gallery_client, f"{gallery}/people/p2", photos["001-smiling"])
    assert {code: count(code) - n for code, n in before.items()} == {
        "another_person": 1, "not_an_image": 1, "already_enrolled": 1,
    }  # fmt: skip


def test_the_time_of_the_search_is_a_stage_of_its_own(
    gallery_client: httpx2.Client, gallery_app: FastAPI, gallery: str, photos: Photos
) -> None:
    identify(gallery_client, gallery, photos["001-neutral"])
    labels = {"route": "/v1/galleries/{gallery}/identify", "stage": "search"}
    assert gallery_app.state.metrics.registry.get_sample_value("visavis_request_seconds_count", labels)


@pytest.mark.parametrize("kind", ["enrol", "identify", "verify", "forget a template", "forget a person"])
def test_while_the_audit_log_cannot_be_written_nothing_about_a_gallery_is_answered(
    kind: str, embedder: FaceEmbedder, tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(gallery=f"sqlite:///{tmp_path / 'gallery.db'}", audit=str(tmp_path / "audit"))
    person = "/v1/galleries/staff/people/alice"
    with TestClient(create_app(settings, embedder)) as client:
        client.put("/v1/galleries/staff")
        template = enrol(client, person, photos["001-neutral"]).json()["enrolled"][0]
        probe = {"probe": photos["001-smiling"]}
        monkeypatch.setattr(AuditLog, "append", full_disk)
        refused = {
            "enrol": lambda: enrol(client, person, photos["001-smiling"]),
            "identify": lambda: client.post("/v1/galleries/staff/identify", files=probe),
            "verify": lambda: client.post(f"{person}/verify", files=probe),
            "forget a template": lambda: client.delete(f"{person}/templates/{template}"),
            "forget a person": lambda: client.delete(person),
        }[kind]()
        monkeypatch.undo()
    assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
    assert "etag" not in refused.headers
    for told in ("alice", "staff", template, "distance", "n_templates"):
        assert told not in refused.text


def full_disk(_log: AuditLog, _events: object) -> None:
    raise OSError(ENOSPC, "No space left on device")
