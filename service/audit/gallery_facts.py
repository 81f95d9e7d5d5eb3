"""What requests about galleries tell the audit log: claims, distances, counts; never a name, an id or an embedding."""

from embedder import QualityChoice
from gallery import Enrolment, Identified, PersonComparison, Receipt

from .requests import AuditFacts, Considered, Decided, facts_of_judgement, rounded


def facts_of_identification(found: Identified) -> AuditFacts:
    """Return the facts of an identification, by face."""
    faces = [each.identification for each in found.faces]
    claim = next((each.claim for each in faces if each.claim is not None), None)
    nearest = [next(iter(each.candidates), None) for each in faces]
    considered = Considered(
        distances=tuple(rounded(each.distance if each else None) for each in nearest),
        normalized_distances=tuple(rounded(each.normalized_distance if each else None) for each in nearest),
        thresholds=tuple(rounded(each.claim.threshold if each.claim else None) for each in faces),
        n_faces=(len(faces),),
        fpir=claim.fpir if claim else None,
        n_templates=claim.n_templates if claim else 0,
        n_candidates=tuple(len(each.candidates) for each in faces),
    )
    return AuditFacts(considered, Decided(identified=tuple(each.match is not None for each in faces)))


def facts_of_enrolment(enrolment: Enrolment) -> AuditFacts:
    """Return the facts of an enrolment that was not refused."""
    return AuditFacts(decided=Decided(n_enrolled=len(enrolment.added), n_already_there=len(enrolment.already_there)))


def facts_of_person_comparison(found: PersonComparison, quality: QualityChoice) -> AuditFacts:
    """Return the facts of a comparison with an enrolled person."""
    return facts_of_judgement(found.judgement, found.operating_point, quality)


def facts_of_expiry(n_people: int, n_templates: int) -> dict[str, object]:
    """Return the fields of the line about people whose time to be forgotten had come."""
    return {"decided": {"n_people_forgotten": n_people, "n_templates_forgotten": n_templates}}


def facts_of_receipt(receipt: Receipt) -> AuditFacts:
    """Return the facts of something that was forgotten."""
    return AuditFacts(
        decided=Decided(
            forgotten=receipt.kind,
            n_people_forgotten=receipt.n_people,
            n_templates_forgotten=receipt.n_templates,
        )
    )
