package db

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// constraint maps a constraint violation of either engine.
func (d *DB) constraint(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return postgresConstraint(pe)
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		return d.sqliteConstraint(se)
	}
	return err
}

// pgKey finds "(a, b)=(" in the detail of a unique violation, in any language.
var pgKey = regexp.MustCompile(`\(([a-z0-9_, ]+)\)=\(`)

func postgresConstraint(pe *pgconn.PgError) error {
	c := &ConstraintError{Table: pe.TableName, Constraint: pe.ConstraintName, Err: withoutDetail(pe)}
	switch pe.Code {
	case "23505":
		c.Kind = Unique
		if m := pgKey.FindStringSubmatch(pe.Detail); m != nil {
			c.Columns = strings.Split(m[1], ", ")
		}
	case "23503":
		c.Kind = ForeignKey
	case "23514":
		c.Kind = Check
	case "23502":
		c.Kind = NotNull
		c.Columns = []string{pe.ColumnName}
	default:
		return pe
	}
	return c
}

// withoutDetail drops the parts of the server's message that quote row values.
func withoutDetail(pe *pgconn.PgError) *pgconn.PgError {
	cp := *pe
	cp.Detail, cp.Where, cp.InternalQuery, cp.Hint = "", "", "", ""
	return &cp
}

func (d *DB) sqliteConstraint(se *sqlite.Error) error {
	c := &ConstraintError{Err: se}
	_, what, _ := strings.Cut(se.Error(), " constraint failed: ")
	if i := strings.LastIndex(what, " ("); i >= 0 {
		what = what[:i] // the driver appends the code
	}
	switch se.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		c.Kind = Unique
		if name, ok := strings.CutPrefix(what, "index '"); ok {
			c.Constraint = strings.TrimSuffix(name, "'")
			c.Table = d.sqliteIndexTable(c.Constraint)
			break
		}
		c.Table, c.Columns = splitColumns(what)
		c.Constraint = d.sqliteUniqueName(c.Table, c.Columns)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		c.Kind = ForeignKey
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		c.Kind = Check
		c.Constraint = what
		c.Table = d.sqliteCheckTable(what)
	case sqlite3.SQLITE_CONSTRAINT_NOTNULL:
		c.Kind = NotNull
		c.Table, c.Columns = splitColumns(what)
	default:
		return se
	}
	return c
}

// splitColumns reads "t.a, t.b".
func splitColumns(s string) (table string, columns []string) {
	for part := range strings.SplitSeq(s, ", ") {
		t, col, ok := strings.Cut(part, ".")
		if !ok {
			return table, columns
		}
		table = t
		columns = append(columns, col)
	}
	return table, columns
}

const catalogTimeout = 2 * time.Second

// sqliteUniqueName finds the name that PostgreSQL would report for a unique
// violation of these columns: the index's, the constraint's, or the default.
// It returns "" if that is ambiguous or cannot be learnt.
func (d *DB) sqliteUniqueName(table string, columns []string) string {
	ctx, cancel := context.WithTimeout(context.Background(), catalogTimeout)
	defer cancel()
	type index struct {
		name, origin string
		cols         []string
	}
	rows, err := d.readers.QueryContext(ctx, `SELECT il.name, il.origin, ii.name FROM pragma_index_list($1) AS il
		JOIN pragma_index_info(il.name) AS ii WHERE il."unique" = 1 ORDER BY il.seq, ii.seqno`, table)
	if err != nil {
		return ""
	}
	defer func() { _ = rows.Close() }()
	var all []index
	for rows.Next() {
		var name, origin string
		var col *string
		if err := rows.Scan(&name, &origin, &col); err != nil {
			return ""
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, index{name: name, origin: origin})
		}
		if col != nil {
			all[len(all)-1].cols = append(all[len(all)-1].cols, *col)
		}
	}
	var found []string
	for _, ix := range all {
		if !slices.Equal(ix.cols, columns) {
			continue
		}
		switch ix.origin {
		case "c":
			found = append(found, ix.name)
		case "pk":
			found = append(found, d.sqliteNamedKey(ctx, table, columns, table+"_pkey"))
		default:
			found = append(found, d.sqliteNamedKey(ctx, table, columns, table+"_"+strings.Join(columns, "_")+"_key"))
		}
	}
	if len(found) == 0 { // INTEGER PRIMARY KEY has no index
		return table + "_pkey"
	}
	if len(found) > 1 {
		return ""
	}
	return found[0]
}

// sqliteNamedKey reads CONSTRAINT name UNIQUE (…) or PRIMARY KEY (…) from the
// table's text, because SQLite does not keep the name elsewhere. def is the
// name if there is none.
func (d *DB) sqliteNamedKey(ctx context.Context, table string, columns []string, def string) string {
	var text string
	if err := d.readers.QueryRowContext(ctx, `SELECT sql FROM sqlite_master WHERE type = 'table' AND name = $1`, table).Scan(&text); err != nil {
		return def
	}
	for _, m := range namedKey.FindAllStringSubmatch(text, -1) {
		var cols []string
		for col := range strings.SplitSeq(m[2], ",") {
			cols = append(cols, strings.TrimSpace(col))
		}
		if slices.Equal(cols, columns) {
			return m[1]
		}
	}
	return def
}

var namedKey = regexp.MustCompile(`(?is)\bconstraint\s+(\w+)\s+(?:unique|primary\s+key)\s*\(([^()]*)\)`)

func (d *DB) sqliteIndexTable(index string) string {
	return d.sqliteOneTable(`SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND name = $1`, index)
}

// sqliteCheckTable finds the one table whose text declares a check of this name.
func (d *DB) sqliteCheckTable(name string) string {
	if !identifier.MatchString(name) {
		return ""
	}
	return d.sqliteOneTable(`SELECT name FROM sqlite_master WHERE type = 'table' AND
		(lower(sql) LIKE '%constraint ' || lower($1) || ' check%')`, name)
}

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// sqliteOneTable returns the single row of q, or "".
func (d *DB) sqliteOneTable(q, arg string) string {
	ctx, cancel := context.WithTimeout(context.Background(), catalogTimeout)
	defer cancel()
	rows, err := d.readers.QueryContext(ctx, q, arg)
	if err != nil {
		return ""
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return ""
		}
		names = append(names, n)
	}
	if len(names) != 1 {
		return ""
	}
	return names[0]
}
