package tour

import (
	"context"
	"errors"
)

// people is the first part: a new person comes to be known.
func (t *Tour) people(ctx context.Context) {
	t.step("la fundación está en pie y fijada en el núcleo de firma", func() (string, error) {
		ours, err := t.demo.App.Enrolment.Genesis(ctx)
		if err != nil {
			return "", err
		}
		core, err := t.demo.App.Core.Genesis(ctx)
		if err != nil {
			return "", err
		}
		if ours != core {
			return "", errors.New("the core is founded on something else")
		}
		return ours.String()[:16] + "…", nil
	})
}
