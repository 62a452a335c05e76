package enrolment

// NormalCode is normalCode, for its fuzz test.
func NormalCode(s string) string { return normalCode(s) }
