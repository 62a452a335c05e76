package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/demo"
)

// newDemoCommand runs the whole system on this machine until it is interrupted.
func (c *cli) newDemoCommand() *cobra.Command {
	var data string
	var port int
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the whole system on this machine, with invented people",
		Long: "Runs identity provider, enrolment, certification authority, time-stamping, signing and two sample\n" +
			"applications in this process, on loopback addresses only, with embedded defaults: nothing to install,\n" +
			"no question asked. It keeps its data in a folder and finds it again. Nothing in it has legal value.",
		Example: "  suti demo\n  suti demo --data ./demo-data --port 9000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := c.demoFolder(data)
			if err != nil {
				return err
			}
			logger := slog.New(slog.DiscardHandler)
			if verbose {
				logger = slog.New(slog.NewTextHandler(c.stderr, nil))
			}
			i, err := demo.Start(cmd.Context(), demo.Config{Dir: dir, FirstPort: port, Logger: logger})
			if err != nil && cmd.Context().Err() != nil {
				fmt.Fprintln(c.stdout, "Se detuvo antes de estar lista; el próximo inicio la prepara.")
				return nil
			}
			if err != nil {
				return failedf("", "start the demo: %w", err)
			}
			c.welcome(i, dir)
			select {
			case <-cmd.Context().Done():
			case err := <-i.Failed():
				return failedf("", "the demo stopped by itself: %w", errors.Join(err, i.Close()))
			}
			fmt.Fprintln(c.stdout, "Se detiene; todo queda guardado.")
			return i.Close()
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "folder of the demo (default: suti-demo in the user's state folder)")
	cmd.Flags().IntVar(&port, "port", 8700, "first port to try on the first start")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "log every request to standard error")
	return cmd
}

// demoFolder is where the demo keeps its things: --data, or the XDG state folder.
func (c *cli) demoFolder(data string) (string, error) {
	if data != "" {
		return filepath.Abs(data)
	}
	if state := c.getenv("XDG_STATE_HOME"); state != "" {
		return filepath.Join(state, "suti-demo"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("name a folder with --data", "no home folder: %w", err)
	}
	return filepath.Join(home, ".local", "state", "suti-demo"), nil
}

// welcome says where to go and what to try, in at most twelve lines.
func (c *cli) welcome(i *demo.Instance, dir string) {
	citizen, _ := i.Person("ciudadana")
	official, _ := i.Person("secretario")
	fmt.Fprintf(c.stdout, `Suti, DEMOSTRACIÓN - SIN VALIDEZ LEGAL
  Suti:      %s
  Trámites:  %s        Becas: %s
Personas (cédula y clave; los códigos de su tarjeta están en demo.json):
  %s, ciudadana: %s  %s
  %s, %s: %s  %s
Para probar: 1. regístrese en %[1]s/registro y cree su llave de acceso
             2. entre en Trámites y luego en Becas: un solo ingreso; salga una vez de ambas
             3. pida una firma en %[2]s/firmas, firme como el secretario y compruébela en %[1]s/verificar
Lo que se habría enviado: %[1]s/demo/correo y %[1]s/demo/sms
Datos en %[11]s (demo.json dice todo a otros programas). Ctrl-C para detener.
`, i.File.Issuer, i.Bases[0], i.Bases[1], citizen.Names, citizen.Login, citizen.Password, official.Names, official.Post, official.Login, official.Password, dir)
}
