package Bench::Stats;

# Medians and quartiles, and tables of them.

use v5.36;

use Exporter qw(import);
use List::Util qw(max sum);

our @EXPORT_OK = qw(mean median quantile spread standard_error table thousands);


sub quantile($q, @values) {
    my @sorted = sort { $a <=> $b } @values;
    my $at = $q * $#sorted;
    my $low = int $at;
    my $high = $low < $#sorted ? $low + 1 : $low;

    return $sorted[$low] + ($at - $low) * ($sorted[$high] - $sorted[$low]);
}


sub median(@values) { return quantile(0.5, @values) }
sub mean(@values)   { return sum(@values) / @values }


sub standard_error(@values) {
    return 0 if @values < 2;

    my $mean = mean(@values);
    my $variance = sum(map { ($_ - $mean) ** 2 } @values) / (@values - 1);

    return sqrt($variance / @values);
}


# "median [lower quartile-upper quartile]"

sub spread($format, @values) {
    return sprintf "$format [$format-$format]",
        map { quantile($_, @values) } 0.5, 0.25, 0.75;
}


sub thousands($number) {
    my $text = sprintf '%.0f', $number;

    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;

    return $text;
}


# A table of Markdown; the first row is its head.

sub table(@rows) {
    my @widths = map {
        my $column = $_;
        max(map { length $_->[$column] } @rows)
    } 0 .. $#{ $rows[0] };

    my $head = shift @rows;
    my @rule = map { '-' x $_ } @widths;

    return join '', map { _row($_, @widths) } $head, \@rule, @rows;
}


sub _row($cells, @widths) {
    my @padded = map { sprintf "%-$widths[$_]s", $cells->[$_] } 0 .. $#widths;

    return '| ' . join(' | ', @padded) . " |\n";
}


1;
