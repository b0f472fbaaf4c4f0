"""All cases, in an order in which those of a command stand together."""

from tests.bad_input.contract import Case
from tests.bad_input.forms import FORMS
from tests.bad_input.odd_runs import architecture_cases, checkpoint_cases, report_cases
from tests.bad_input.special import configuration_cases, further_cases, other_cases

CASES: list[Case] = [
    *(case for form in FORMS for case in form.cases()),
    *architecture_cases(),
    *checkpoint_cases(),
    *report_cases(),
    *configuration_cases(),
    *other_cases(),
    *further_cases(),
]
