package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/identity"
)

// newDemoCommand runs the whole system on this machine until it is interrupted.
func (c *cli) newDemoCommand() *cobra.Command {
	var data string
	var port int
	var https, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the whole system on this machine, with invented people",
		Long: "Runs identity provider, enrolment, certification authority, time-stamping, signing and two sample\n" +
			"applications in this process, on loopback addresses only, with embedded defaults: nothing to install,\n" +
			"no question asked. It keeps its data in a folder and finds it again. Nothing in it has legal value.\n\n" +
			"With --tls all addresses are https://localhost:…, under a root of the demo's own that a browser must import:\n" +
			"tls-root.pem in the folder, good for this machine's own names only. A folder stays of the kind it was made.",
		Example: "  suti demo\n  suti demo --data ./demo-data --port 9000\n  suti demo --tls",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if port < 1 || port > 65535-2 { // the applications take the next two
				return usagef("for example --port 8700", "--port %d is no port from which three can be taken", port)
			}
			dir, err := c.demoFolder(data, https)
			if err != nil {
				return err
			}
			logger := slog.New(slog.DiscardHandler)
			if verbose {
				logger = slog.New(slog.NewTextHandler(c.stderr, nil))
			}
			worker, err := workerCommand()
			if err != nil {
				return err
			}
			i, err := demo.Start(cmd.Context(), demo.Config{Dir: dir, FirstPort: port, TLS: https, VerifyCommand: worker, Logger: logger})
			if errors.Is(err, demo.ErrScheme) {
				return usagef(otherKind(https), "%s: %w", dir, err)
			}
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
	cmd.Flags().StringVar(&data, "data", "", "folder of the demo (default: suti-demo, or suti-demo-tls with --tls, in the user's state folder)")
	cmd.Flags().BoolVar(&https, "tls", false, "serve it over https with a certificate of its own CA (a browser must import the root)")
	cmd.Flags().IntVar(&port, "port", 8700, "first port to try on the first start")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "log every request to standard error")
	return cmd
}

// otherKind says what to do with a folder of the other kind.
func otherKind(https bool) string {
	if https {
		return "leave out --tls, or name another folder with --data"
	}
	return "add --tls, or name another folder with --data"
}

// demoFolder is where the demo keeps its things: --data, or one in the XDG
// state folder, of its own for each of http and https.
func (c *cli) demoFolder(data string, https bool) (string, error) {
	if data != "" {
		return filepath.Abs(data)
	}
	name := "suti-demo"
	if https {
		name += "-tls"
	}
	if state := c.getenv("XDG_STATE_HOME"); state != "" {
		return filepath.Join(state, name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("name a folder with --data", "no home folder: %w", err)
	}
	return filepath.Join(home, ".local", "state", name), nil
}

// welcome says where to go and what to try, in at most twelve lines.
func (c *cli) welcome(i *demo.Instance, dir string) {
	citizen, _ := i.Person("ciudadana")
	official, _ := i.Person("secretario")
	first := ""
	if i.File.TLSRootPEM != "" {
		first = fmt.Sprintf("\nAntes: importe en su navegador %s (autoridad para sitios web; solo vale para localhost)", filepath.Join(dir, demo.TLSRootName))
	}
	fmt.Fprintf(c.stdout, `Suti, `+identity.DemoNotice+`%[12]s
  Suti:      %[1]s
  Trámites:  %[2]s        Becas: %[3]s
Personas (cédula y clave; los códigos de su tarjeta están en demo.json):
  %[4]s, ciudadana: %[5]s  %[6]s
  %[7]s, %[8]s: %[9]s  %[10]s
Para probar: 1. regístrese en %[1]s/registro y cree su llave de acceso
             2. entre en Trámites y luego en Becas: un solo ingreso; salga una vez de ambas
             3. pida una firma en %[2]s/firmas, firme como el secretario y compruébela en %[1]s/verificar
Lo que se habría enviado: %[1]s/demo/correo y %[1]s/demo/sms
Datos en %[11]s (demo.json dice todo a otros programas). Ctrl-C para detener.
`, i.File.Issuer, i.Bases[0], i.Bases[1], citizen.Names, citizen.Login, citizen.Password, official.Names, official.Post, official.Login, official.Password, dir, first)
}
