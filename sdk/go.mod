module oruro.gob.bo/suti/sdk

go 1.26.0
