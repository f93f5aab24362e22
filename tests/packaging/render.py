"""Renders a chart with the engine of Helm, and checks every resource against the schemas of Kubernetes.

Usage: render.py CHART VALUES [KEY=VALUE ...]. Prints the resources as a list in JSON.
Exit codes: 0 rendered and valid, 3 the chart refuses the values, 4 Helm's linter or a schema finds an error.
"""

import json
import sys

import helm_python
import kubernetes_validate
import yaml

# Resources of operators, which have no schema in Kubernetes.
FOREIGN = {"monitoring.coreos.com/v1"}
VERSIONS = ["1.25", "1.37"]


def fail(code, text):
    print(text, file=sys.stderr)
    sys.exit(code)


def main():
    chart, file, *changes = sys.argv[1:]
    with open(file) as content:
        values = yaml.safe_load(content) or {}
    for change in changes:
        path, value = change.split("=", 1)
        *folders, key = path.split(".")
        place = values
        for folder in folders:
            place = place.setdefault(folder, {})
        place[key] = yaml.safe_load(value)
    with helm_python.Chart.load(chart) as loaded:
        try:
            loaded.validate_schema(values)
            files = loaded.render(values, name="release", namespace="telemetry")
        except helm_python.HelmError as error:
            fail(3, error)
    texts = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
    resources = [resource for text in texts for resource in yaml.safe_load_all(text) if resource]
    for resource in resources:
        for version in VERSIONS:
            if resource["apiVersion"] in FOREIGN:
                continue
            try:
                kubernetes_validate.validate(resource, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                fail(4, f"{resource['kind']} in {version}: {error}")
    # Severity 1 is information, such as a missing icon.
    findings = [found for found in helm_python.lint(chart, values)["messages"] if found["severity"] > 1]
    if findings:
        fail(4, findings)
    json.dump(resources, sys.stdout)


main()
