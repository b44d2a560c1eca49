"""Gate: which variants may become champion, and why not."""

from precisionflow.report.material import Material
from precisionflow.report.section import Section


def section(material: Material) -> Section | None:
    """One line for each variant; none where the experiment has no gate."""
    if not material.gate:
        return None
    context = {"judgements": material.gate, "several": material.several}
    return Section("Gate", "sections/gate.html.jinja", context)
