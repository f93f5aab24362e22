module wattle

go 1.24
