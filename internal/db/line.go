package db

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Line is one package's series of migrations. Lines are versioned apart, so
// that contexts evolve apart.
type Line struct {
	// Name is lower-case letters, digits and _; it names the version table.
	Name string
	// FS holds NNNN_title.sql, numbered from 0001 without gaps, in goose format
	// with an Up part only; in its root or in its only folder. NNNN_title.postgres.sql
	// or NNNN_title.sqlite.sql replaces the file of that number on that engine.
	FS fs.FS
	// Requires names lines whose tables this one refers to. They MUST be passed
	// to Migrate together with it, and are migrated first.
	Requires []string
}

//go:embed migrations/*.sql
var ownFS embed.FS

// ownLine is migrated before every other; callers need not pass it.
func ownLine() Line { return Line{Name: "db", FS: ownFS} }

var (
	lineName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	fileName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+(\.postgres|\.sqlite)?\.sql$`)
)

// maxMigration bounds one migration file, in bytes.
const maxMigration = 1 << 20

// order checks the lines and sorts them so that each follows what it requires.
// Lines given twice count once.
func order(lines []Line) ([]Line, error) {
	byName := map[string]Line{}
	var names []string
	for _, l := range append([]Line{ownLine()}, lines...) {
		if !lineName.MatchString(l.Name) {
			return nil, fmt.Errorf("%w: name %q", ErrLine, l.Name)
		}
		if _, dup := byName[l.Name]; !dup {
			names = append(names, l.Name)
			byName[l.Name] = l
		}
	}
	var sorted []Line
	state := map[string]int{} // 1: being visited, 2: done
	var visit func(name, by string) error
	visit = func(name, by string) error {
		l, ok := byName[name]
		switch {
		case !ok:
			return fmt.Errorf("%w: %q requires %q, which was not given", ErrLine, by, name)
		case state[name] == 2:
			return nil
		case state[name] == 1:
			return fmt.Errorf("%w: %q and %q require each other", ErrLine, by, name)
		}
		state[name] = 1
		for _, r := range l.Requires {
			if err := visit(r, name); err != nil {
				return err
			}
		}
		state[name] = 2
		sorted = append(sorted, l)
		return nil
	}
	for _, n := range names {
		if err := visit(n, n); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}

// engineFS shows the files of a line for one engine under their common names.
type engineFS struct {
	base  fs.FS
	files map[string]string // name shown → name in base
}

// forEngine checks a line's files and picks those for one engine. It returns
// the highest version.
func (l Line) forEngine(e Engine) (engineFS, int64, error) {
	if l.FS == nil {
		return engineFS{}, 0, fmt.Errorf("%w: %q has no files", ErrLine, l.Name)
	}
	base, names, err := sqlFiles(l.FS)
	if err != nil {
		return engineFS{}, 0, fmt.Errorf("%w: %q: %w", ErrLine, l.Name, err)
	}
	common, own := map[string]string{}, map[string]string{}
	for _, n := range names {
		m := fileName.FindStringSubmatch(n)
		if m == nil {
			return engineFS{}, 0, fmt.Errorf("%w: %q: file name %q", ErrLine, l.Name, n)
		}
		if err := checkFile(base, n); err != nil {
			return engineFS{}, 0, fmt.Errorf("%w: %q: %s: %w", ErrLine, l.Name, n, err)
		}
		into := own
		switch m[2] {
		case "":
			into = common
		case "." + e.String():
		default:
			continue
		}
		if _, dup := into[m[1]]; dup {
			return engineFS{}, 0, fmt.Errorf("%w: %q: two files numbered %s", ErrLine, l.Name, m[1])
		}
		into[m[1]] = n
	}
	files := map[string]string{}
	for v, n := range common {
		files[n] = n
		if o, ok := own[v]; ok {
			files[n] = o
			delete(own, v)
		}
	}
	for _, n := range own {
		files[strings.Replace(n, "."+e.String()+".sql", ".sql", 1)] = n
	}
	if len(files) == 0 {
		return engineFS{}, 0, fmt.Errorf("%w: %q: no files for %s", ErrLine, l.Name, e)
	}
	for i := range len(files) {
		prefix := fmt.Sprintf("%04d_", i+1)
		if !slices.ContainsFunc(keys(files), func(n string) bool { return strings.HasPrefix(n, prefix) }) {
			return engineFS{}, 0, fmt.Errorf("%w: %q: no file numbered %04d for %s", ErrLine, l.Name, i+1, e)
		}
	}
	return engineFS{base, files}, int64(len(files)), nil
}

// sqlFiles lists the .sql files in the root of f, or in its only folder.
func sqlFiles(f fs.FS) (fs.FS, []string, error) {
	names, err := fs.Glob(f, "*.sql")
	if err != nil || len(names) > 0 {
		return f, names, err
	}
	names, err = fs.Glob(f, "*/*.sql")
	if err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		return nil, nil, errors.New("no .sql files")
	}
	dir := path.Dir(names[0])
	for i, n := range names {
		if path.Dir(n) != dir {
			return nil, nil, errors.New(".sql files in several folders")
		}
		names[i] = path.Base(n)
	}
	sub, err := fs.Sub(f, dir)
	return sub, names, err
}

func checkFile(f fs.FS, name string) error {
	file, err := f.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxMigration+1))
	if err != nil {
		return err
	}
	switch s := string(text); {
	case len(text) > maxMigration:
		return errors.New("larger than 1 MiB")
	case !strings.Contains(s, "-- +goose Up"):
		return errors.New("lacks -- +goose Up")
	case strings.Contains(s, "-- +goose Down"):
		return errors.New("has a Down part; migrations are forward only")
	}
	return nil
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Open implements fs.FS.
func (f engineFS) Open(name string) (fs.File, error) {
	if real, ok := f.files[name]; ok {
		return f.base.Open(real)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Glob implements fs.GlobFS.
func (f engineFS) Glob(pattern string) ([]string, error) {
	var out []string
	for _, n := range keys(f.files) {
		ok, err := path.Match(pattern, n)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, n)
		}
	}
	return out, nil
}
