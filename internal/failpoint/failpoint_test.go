package failpoint_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"oruro.gob.bo/suti/internal/failpoint"
)

func TestHitActsOnlyWhileArmed(t *testing.T) {
	want := errors.New("boom")
	if err := failpoint.Hit(failpoint.IssueAfterIntent); err != nil {
		t.Fatalf("unarmed: %v", err)
	}
	disarm := failpoint.Arm(failpoint.IssueAfterIntent, func() error { return want })
	if err := failpoint.Hit(failpoint.IssueAfterIntent); !errors.Is(err, want) {
		t.Errorf("armed: got %v, want %v", err, want)
	}
	if err := failpoint.Hit(failpoint.IssueAfterSign); err != nil {
		t.Errorf("other name: %v", err)
	}
	disarm()
	if err := failpoint.Hit(failpoint.IssueAfterIntent); err != nil {
		t.Errorf("disarmed: %v", err)
	}
}

func TestArmFromEnvCountsAndRefuses(t *testing.T) {
	env := func(v string) func(string) string { return func(string) string { return v } }
	for _, bad := range []string{"x", "nope=kill", failpoint.IssueAfterSign + "=dance", failpoint.IssueAfterSign + "=kill@0"} {
		if err := failpoint.ArmFromEnv(env(bad)); err == nil {
			t.Errorf("ArmFromEnv(%q) accepted", bad)
		}
	}
	if err := failpoint.ArmFromEnv(env(failpoint.OutboxAfterHandle + "=error@2")); err != nil {
		t.Fatal(err)
	}
	defer func() { failpoint.Arm(failpoint.OutboxAfterHandle, func() error { return nil })() }() // arming and disarming clears what the variable armed
	var got []bool
	for range 3 {
		got = append(got, errors.Is(failpoint.Hit(failpoint.OutboxAfterHandle), failpoint.ErrInjected))
	}
	if got[0] || !got[1] || got[2] {
		t.Errorf("acting hits: got %v, want only the second", got)
	}
}

func TestKillEndsTheProcessAtOnce(t *testing.T) {
	if os.Getenv("SUTI_FAILPOINT_CHILD") == "1" {
		if err := failpoint.ArmFromEnv(os.Getenv); err != nil {
			os.Exit(3)
		}
		_ = failpoint.Hit(failpoint.CRLAfterPublish)
		os.Exit(0) // reached only if the kill did not happen
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillEndsTheProcessAtOnce$")
	cmd.Env = append(os.Environ(), "SUTI_FAILPOINT_CHILD=1", failpoint.EnvVar+"="+failpoint.CRLAfterPublish+"=kill")
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("child: %v, want a killed process", err)
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		t.Errorf("child ended with %v, want SIGKILL", exit)
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range failpoint.Names() {
		if seen[n] {
			t.Errorf("%q twice", n)
		}
		seen[n] = true
	}
}
