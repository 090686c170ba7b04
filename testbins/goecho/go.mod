module lateen/testbins/goecho

go 1.24
