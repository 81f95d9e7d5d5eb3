"""Send all bad and odd inputs to a real service and print its answers as Markdown.

    python benchmarks/bad_inputs.py

Exit status 1 if an answer differs from the table, or if the service does not answer afterwards.
"""

import logging
import sys

from live_service import small_site
from odd_inputs import HTTP_OK, Case, Site, cases


def main() -> int:
    logging.disable(logging.CRITICAL)  # what python-multipart thinks of the bodies
    print("| input | status | code | detail |\n|---|---|---|---|")
    with small_site() as site:
        are_right = [answer_is_right(case, site) for case in cases()]
    print(f"\n{sum(are_right)} of {len(are_right)} inputs got the expected answer.")
    return 0 if all(are_right) else 1


def answer_is_right(case: Case, site: Site) -> bool:
    reply = case.ask(site)
    code, detail = reply.problem.get("code"), str(reply.problem.get("detail", ""))
    print(f"| {case.name} | {reply.status} | {code or ''} | {detail.replace('|', '/')} |")
    is_alive = site.request("GET", "/healthz").status == HTTP_OK
    return (reply.status, code) == (case.status, case.code) and case.detail in detail and is_alive


if __name__ == "__main__":
    sys.exit(main())
