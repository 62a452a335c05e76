package paint

import (
	"oruro.gob.bo/suti/signer/internal/cos"
)

// operands are how many numbers operators take that take nothing else.
var operands = map[string]int{
	"w": 1, "J": 1, "j": 1, "M": 1, "i": 1, "cm": 6, "m": 2, "l": 2, "c": 6, "v": 4, "y": 4, "re": 4,
	"Tc": 1, "Tw": 1, "Tz": 1, "TL": 1, "Tr": 1, "Ts": 1, "Td": 2, "TD": 2, "Tm": 6,
	"g": 1, "G": 1, "rg": 3, "RG": 3, "k": 4, "K": 4, "d0": 2, "d1": 6,
}

// do runs one operation.
func (l *level) do(op cos.Operation) error {
	n, fixed := operands[op.Operator]
	var a [6]float64
	if fixed {
		if len(op.Operands) < n {
			return opaque("operator %.8q without operands", op.Operator)
		}
		for i, v := range op.Operands[len(op.Operands)-n:] {
			x, ok := v.Number()
			if !ok {
				return opaque("operator %.8q without numbers", op.Operator)
			}
			a[i] = x
		}
	}
	switch op.Operator {
	case "m", "l", "c", "v", "y", "h", "re", "S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "n", "W", "W*", "sh", "BI", "Do":
		return l.doPath(op, a)
	case "BT", "ET", "Tc", "Tw", "Tz", "TL", "Tr", "Ts", "Tf", "Td", "TD", "Tm", "T*", "Tj", "TJ", "'", `"`:
		return l.doText(op, a)
	case "g", "rg", "k", "cs", "sc", "scn":
		return l.doColour(op, a[:n])
	}
	return l.doState(op, a)
}

// doState runs the operators that paint nothing.
func (l *level) doState(op cos.Operation, a [6]float64) error {
	switch op.Operator {
	case "q":
		if len(l.saved) >= maxStates {
			return opaque("more than %d graphics states saved", maxStates)
		}
		l.saved = append(l.saved, l.state)
	case "Q":
		if n := len(l.saved); n > 0 {
			l.state, l.saved = l.saved[n-1], l.saved[:n-1]
		}
	case "cm":
		l.ctm = matrix(a).mul(l.ctm)
	case "w":
		l.line = a[0]
	case "M":
		l.miter = a[0]
	case "j":
		l.join = int64(a[0])
	case "gs":
		name, err := oneName(op)
		if err != nil {
			return err
		}
		return l.setState(name)
	case "J", "d", "ri", "i", "G", "RG", "K", "CS", "SC", "SCN", "d0", "d1", "BMC", "BDC", "EMC", "MP", "DP":
	case "BX":
		l.unknown++
	case "EX":
		l.unknown--
	default:
		if l.unknown <= 0 {
			return opaque("operator %.8q", op.Operator)
		}
	}
	return nil
}

// oneName is the operand of operators that take a name, the last if there are more.
func oneName(op cos.Operation) (string, error) {
	if n := len(op.Operands); n > 0 && op.Operands[n-1].Kind() == cos.Name {
		return op.Operands[n-1].Name(), nil
	}
	return "", opaque("operator %.8q without a name", op.Operator)
}

// doColour runs the operators that set the fill colour. White is looked for in
// the colour spaces of ISO 32000-2 table 61 that have no more to them than
// their name, or a white point: full red, green and blue, or no ink.
func (l *level) doColour(op cos.Operation, a []float64) error {
	switch op.Operator {
	case "g":
		l.space = "DeviceGray"
	case "rg":
		l.space = "DeviceRGB"
	case "k":
		l.space = "DeviceCMYK"
	case "cs":
		name, err := oneName(op)
		if err != nil {
			return err
		}
		l.white = false
		l.space, err = l.colourSpace(name)
		return err
	default:
		a = nil
		for _, v := range op.Operands {
			if x, ok := v.Number(); ok {
				a = append(a, x)
			}
		}
	}
	white, n := 1.0, map[string]int{"DeviceGray": 1, "DeviceRGB": 3, "DeviceCMYK": 4, "CalGray": 1, "CalRGB": 3}[l.space]
	if l.space == "DeviceCMYK" {
		white = 0
	}
	l.white = n > 0 && len(a) == n && len(op.Operands) == n
	for _, x := range a {
		l.white = l.white && x == white
	}
	if !l.white {
		return nil
	}
	def := map[string]string{"DeviceGray": "DefaultGray", "DeviceRGB": "DefaultRGB", "DeviceCMYK": "DefaultCMYK"}[l.space]
	o, err := l.resource("ColorSpace", def)
	l.white = err == nil && o.Value.IsNull()
	return err
}

// colourSpace returns the family of a colour space, "" if white cannot be told there.
func (l *level) colourSpace(name string) (string, error) {
	switch name {
	case "DeviceGray", "DeviceRGB", "DeviceCMYK":
		return name, nil
	}
	o, err := l.resource("ColorSpace", name)
	if err != nil {
		return "", err
	}
	family := o.Value
	if family.Kind() == cos.Array && family.Len() > 0 {
		family = family.Elem(0)
	}
	switch family.Name() {
	case "DeviceGray", "DeviceRGB", "DeviceCMYK", "CalGray", "CalRGB":
		return family.Name(), nil
	case "ICCBased":
		if o.Value.Len() == 2 {
			return l.profile(o.Value.Elem(1))
		}
	}
	return "", nil
}

// profile tells for an ICC profile of a display, made of three curves and a
// matrix, that its white is that of the paper: (1, 1, 1) is then the sum of the
// three columns, which is the white point (ICC.1 §8.3.3).
func (l *level) profile(v cos.Value) (string, error) {
	o, err := l.f.ResolveObject(v)
	if err != nil || o.Stream == nil {
		return "", err
	}
	b, err := l.f.Decode(o)
	if err != nil || len(b) < 132 {
		return "", nil // not known
	}
	u32 := func(at int) int { return int(b[at])<<24 | int(b[at+1])<<16 | int(b[at+2])<<8 | int(b[at+3]) }
	if string(b[12:16]) != "mntr" || string(b[16:24]) != "RGB XYZ " {
		return "", nil
	}
	columns, sum := 0, [3]float64{}
	for i := range min(u32(128), 100) {
		at := 132 + 12*i
		if at+12 > len(b) {
			return "", nil
		}
		tag, off := string(b[at:at+4]), u32(at+4)
		switch tag {
		case "A2B0", "A2B1", "A2B2", "B2A0", "D2B0":
			return "", nil
		case "rXYZ", "gXYZ", "bXYZ":
			if off < 0 || off > len(b)-20 {
				return "", nil
			}
			columns++
			for k := range sum {
				sum[k] += float64(int32(u32(off+8+4*k))) / 65536
			}
		}
	}
	for k, d50 := range [3]float64{0.9642, 1, 0.8249} {
		if columns != 3 || sum[k] < d50-0.01 {
			return "", nil
		}
	}
	return "CalRGB", nil
}
