module my-node

go 1.24

require wattle v0.0.0

replace wattle => ./sdk
