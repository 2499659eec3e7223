"""`cluster traces`: the lives of jobs as spans of OpenTelemetry. `spans` is pure, `exporting` has the SDK."""
