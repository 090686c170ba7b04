module lateen/testbins/pause

go 1.26.0
